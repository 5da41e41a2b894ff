/** What a bundle contains: a program in memory has nothing of NATS, and is small. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

/** Of which about 58 kB are `effect`. */
const largest = 106_000

const input = "program"
const program = `
  import { Aegis } from "effect-aegis"
  export const Live = Aegis.layerMemory()
`

const bundled = Effect.promise(async () => {
  const bundle = await rolldown({
    input,
    cwd: import.meta.dirname,
    platform: "node",
    external: [/^node:/],
    plugins: [{
      name: "program",
      resolveId: (id) => id === input ? new URL("program.js", import.meta.url).pathname : null,
      load: (id) => id.endsWith("/program.js") ? program : null
    }]
  })
  const { output: [chunk] } = await bundle.generate({ format: "esm", minify: true })
  return chunk
})

it.live(
  "Aegis.layerMemory is bundled without NATS, in at most 106 kB minified and gzipped",
  () =>
    Effect.gen(function*() {
      const { code, modules } = yield* bundled
      const nats = Object.keys(modules).filter((id) =>
        /@nats-io|\/internal\/nats\/(client|connect|jetstream|bucket)\//.test(id)
      )
      assert.deepStrictEqual(nats, [])
      assert.isAtMost(gzipSync(code).length, largest)
      assert.include(code, "service_registry")
    }),
  30_000
)
