import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import manifest from "./package.json" with { type: "json" }

/**
 * Tests import the package by its name, as a user does, and get the sources: of
 * the entries that it exports, so that a test cannot import what a user cannot.
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
      // Everything that runs on virtual time, or needs no time at all.
      {
        resolve: { alias },
        test: {
          name: "memory",
          include: ["test/**/*.test.ts"],
          exclude: ["live", "timed", "faults", "simulation"].map((kind) => `test/**/*.${kind}.test.ts`),
          // No module keeps anything from one use to the next: files share what is loaded, which takes most of the time.
          isolate: false,
          maxWorkers: "100%",
          // Some take seconds of computing: a busy machine must not fail them.
          testTimeout: 20_000
        }
      },
      // Real servers on real time: most of it is waiting, so that two files at once keep a processor busy.
      {
        resolve: { alias },
        test: {
          ...onServers,
          name: "live",
          include: ["test/**/*.live.test.ts"],
          maxWorkers: 2,
          // A group of its own: others have another number of workers, which vitest refuses within a group.
          sequence: { groupOrder: 1 }
        }
      },
      // Held to bounds on how long something takes: one file after the other, so that nothing else takes their processor.
      {
        resolve: { alias },
        test: {
          ...onServers,
          name: "timed",
          include: ["test/**/*.timed.test.ts"],
          fileParallelism: false
        }
      },
      // Whole fleets in processes of their own, as many as there are processors.
      {
        resolve: { alias },
        test: {
          name: "simulation",
          include: ["test/**/*.simulation.test.ts"],
          fileParallelism: false
        }
      },
      // Servers that are killed, stopped and emptied under load. Most of their time is waiting: they wait together.
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
