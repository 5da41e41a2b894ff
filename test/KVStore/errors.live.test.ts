/**
 * Every kind of failure of servers, accounts, permissions and links, caused on real servers. Each test checks the
 * reason, `isRetryable`, and that the message has the refused operation, the key, and the bucket.
 */
import { describe, it, layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerClient, layerLegacyClient, layerRaw } from "../support/natsClient.ts"
import { accounts } from "./errors/accounts.ts"
import { buckets } from "./errors/buckets.ts"
import { clusters } from "./errors/clusters.ts"
import { conditions } from "./errors/conditions.ts"
import type { Shared, Test, World } from "./errors/fixture.ts"
import { links } from "./errors/links.ts"
import { permissions } from "./errors/permissions.ts"

const worlds: ReadonlyArray<World> = [
  ...lines.map((line) => ({ line, client: "current" }) as const),
  { line: "2.15", client: "legacy" }
]

const nameOf = ({ client, line }: World): string => client === "legacy" ? `${line} legacy` : line

for (const world of worlds) {
  const client = world.client === "current" ? layerClient : layerLegacyClient
  const shared = Layer.merge(client, layerRaw).pipe(Layer.provideMerge(layerNatsServer(world.line)))
  layer(shared, { excludeTestServices: true, timeout: "30 seconds" })(`${nameOf(world)}: errors`, (it) => {
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
