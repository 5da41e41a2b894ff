import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import manifest from "./package.json" with { type: "json" }

/**
 * Tests import the package by its name, as users do, and this resolves to the
 * sources. Only exported entries resolve, so a test cannot import other modules.
 */
const alias = Object.keys(manifest.exports).filter((entry) => entry !== "./package.json").map((entry) => ({
  find: new RegExp(`^effect-aegis${entry.slice(1)}$`),
  replacement: fileURLToPath(new URL(`src/${entry === "." ? "index" : entry.slice(2)}.ts`, import.meta.url))
}))

/** Tests against real servers. */
const onServers = { testTimeout: 30_000, hookTimeout: 30_000 }

export default defineConfig({
  test: {
    projects: [
      // Tests that need no server, on virtual time.
      {
        resolve: { alias },
        test: {
          name: "memory",
          include: ["test/**/*.test.ts"],
          exclude: ["live", "timed", "faults", "simulation"].map((kind) => `test/**/*.${kind}.test.ts`),
          // Modules have no global state, so test files share the loaded modules. Loading takes most of the time.
          isolate: false,
          maxWorkers: "100%",
          // Some tests compute for several seconds, and more on a busy machine.
          testTimeout: 20_000
        }
      },
      // Tests on real servers and real time. They mostly wait, so three files run at once.
      {
        resolve: { alias },
        test: {
          ...onServers,
          name: "live",
          include: ["test/**/*.live.test.ts"],
          maxWorkers: 3,
          // A separate group, as vitest allows only one number of workers per group.
          sequence: { groupOrder: 1 }
        }
      },
      // Tests with limits on durations. They run one file at a time, so that other tests do not slow them down.
      {
        resolve: { alias },
        test: {
          ...onServers,
          name: "timed",
          include: ["test/**/*.timed.test.ts"],
          fileParallelism: false
        }
      },
      // Simulations, in one process per processor.
      {
        resolve: { alias },
        test: {
          name: "simulation",
          include: ["test/**/*.simulation.test.ts"],
          fileParallelism: false
        }
      },
      // Servers that are killed, paused or lose their buckets under load. The tests mostly wait, so they run
      // concurrently.
      {
        resolve: { alias },
        test: {
          name: "faults",
          include: ["test/**/*.faults.test.ts"],
          fileParallelism: false,
          maxConcurrency: 9,
          testTimeout: 90_000,
          hookTimeout: 30_000
        }
      }
    ]
  }
})
