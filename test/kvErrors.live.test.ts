/**
 * Every way in which a server, an account, a permission or a link says no, provoked for real: its reason, whether it is
 * worth another attempt, and words that name what was refused, and where.
 */
import { describe, it, layer } from "@effect/vitest"
import * as Layer from "effect/Layer"
import { accounts } from "./kvErrors/accounts.ts"
import { buckets } from "./kvErrors/buckets.ts"
import { clusters } from "./kvErrors/clusters.ts"
import { conditions } from "./kvErrors/conditions.ts"
import type { Shared, Test } from "./kvErrors/fixture.ts"
import { links } from "./kvErrors/links.ts"
import { permissions } from "./kvErrors/permissions.ts"
import { lines } from "./support/natsBinaries.ts"
import { layerClient } from "./support/natsClient.ts"
import { layerNatsServer } from "./support/natsServer.ts"

for (const line of lines) {
  const shared = layerClient.pipe(Layer.provideMerge(layerNatsServer(line)))
  layer(shared, { excludeTestServices: true, timeout: "30 seconds" })(`${line}: an error by`, (it) => {
    const test: Shared = (title, body) => it.effect(title, body)
    conditions(test)
    buckets(test, line)
  })
}

// Each has a server of its own, and most of their time is waiting: they wait together.
describe.concurrent("an error by", () => {
  for (const line of lines) {
    const test: Test = (title, body) => it.live(`${line}: ${title}`, body)
    accounts(test, line)
    permissions(test, line)
    links(test, line)
    clusters(test, line)
  }
})
