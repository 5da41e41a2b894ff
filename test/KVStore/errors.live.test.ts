/**
 * Every kind of failure of servers, accounts, permissions and links, caused on real servers. Each test checks the
 * reason, `isRetryable`, and that the message has the refused operation, the key, and the bucket.
 */
import { describe, it, layer } from "@effect/vitest"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { accounts } from "./errors/accounts.ts"
import { buckets } from "./errors/buckets.ts"
import { clusters } from "./errors/clusters.ts"
import { conditions } from "./errors/conditions.ts"
import type { Shared, Test } from "./errors/fixture.ts"
import { links } from "./errors/links.ts"
import { permissions } from "./errors/permissions.ts"

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(`${nameOf(world)}: errors`, (it) => {
    const test: Shared = (title, body) => it.effect(title, body)
    conditions(test)
    buckets(test, world)
  })
}

// Each test has its own server and mostly waits, so the tests run concurrently.
describe.concurrent("errors", () => {
  for (const world of worlds) {
    const test: Test = (title, body) => it.live(`${nameOf(world)}: ${title}`, body)
    accounts(test, world)
    permissions(test, world)
    links(test, world)
    if (world.client === "current") {
      clusters((title, body) => it.live(`${nameOf(world)}: ${title}`, body, 120_000), world)
    }
  }
})
