/** The part of results/summary.md about the registry. */
import { assert, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { registryNumbers, registryResults } from "../../tools/registryResults.ts"

const numbers = Schema.decodeUnknownSync(Schema.Struct(registryNumbers))({
  registry: {
    server: "2.15.1",
    instances: 10_000,
    heartbeatsPerSecond: 1000,
    snapshot: { view: 257, raw: 72.9, times: 3.53 },
    observer: { view: 30.1, raw: 20.7, times: 1.45 },
    lists: { without: 5.15, withView: 4.43 },
    bytesPerInstance: 1270,
    bytesPerRegistration: 9800
  },
  registryFleet: {
    maxAge: 3000,
    heartbeat: 1000,
    rows: [
      { what: "SIGKILL until gone", samples: 300, median: 2530, most: 2970, bound: "4000 ms", problems: [] },
      { what: "server frozen", samples: 1000, median: null, most: null, bound: "0", problems: ["false Down a"] }
    ]
  }
})

it("has each row of the fleet with the number of its problems, and each cost beside that of a raw consumer", () => {
  const rows = registryResults(numbers).split("\n").filter((line) => line.startsWith("| "))
  assert.deepStrictEqual(rows, [
    "| measured | samples | median ms | most ms | bound | problems |",
    "| --- | --- | --- | --- | --- | --- |",
    "| SIGKILL until gone | 300 | 2,530 | 2,970 | 4000 ms | 0 |",
    "| server frozen | 1,000 | - | - | 0 | 1 |",
    "| measured | this library | raw consumer | times |",
    "| --- | --- | --- | --- |",
    "| ms until a watch of 10,000 instances is ready | 257 | 72.9 | 3.53 |",
    "| ms of processor time a second, at 1,000 heartbeats a second | 30.1 | 20.7 | 1.45 |",
    "| ms of `list` without a watch | 5.15 | - | - |",
    "| ms of `list` beside a watch | 4.43 | - | - |",
    "| bytes of heap for each instance of a watch | 1,270 | - | - |",
    "| bytes of heap for each registration | 9,800 | - | - |"
  ])
})
