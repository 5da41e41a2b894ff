/**
 * The two ways to have an instance: as fibers behind a link that can be cut, or
 * as a process that can be killed.
 */
import { Effect, Layer, Queue, Stream } from "effect"
import { KVStore } from "effect-aegis"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { type Command, live, servicesAndCleanup, type Spec } from "./instance.ts"

export interface Actor {
  readonly handOver: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
  /** Gone from one moment to the next: nothing is released. */
  readonly crash: Effect.Effect<void>
}

/** The store as it is seen over a link; once that is cut, nothing gets through in either direction. */
const overLink = (store: KVStore.KVStore["Service"], isCut: () => boolean): KVStore.KVStore["Service"] => {
  const across = <A>(operation: string, effect: Effect.Effect<A, KVStore.KVStoreError>) =>
    Effect.suspend(() => {
      if (!isCut()) return effect
      const reason = new KVStore.Unavailable({ problem: "the link is cut" })
      return Effect.fail(new KVStore.KVStoreError({ bucket: store.config.bucket, operation, key: undefined, reason }))
    })
  return {
    ...store,
    get: (key) => across("get", store.get(key)),
    put: (key, value, options) => across("put", store.put(key, value, options)),
    delete: (key, options) => across("delete", store.delete(key, options)),
    purge: (key, options) => across("purge", store.purge(key, options)),
    history: (key) => across("history", store.history(key)),
    keys: (filter) => across("keys", store.keys(filter)),
    entries: (filter) => across("entries", store.entries(filter)),
    status: across("status", store.status),
    watch: (filter, options) => Stream.filter(store.watch(filter, options), () => !isCut())
  }
}

export interface Stores {
  readonly registry: KVStore.KVStore["Service"]
  readonly election: KVStore.KVStore["Service"]
}

/** Fibers of this process. */
export const inFibers = (stores: Stores) => (spec: Spec) =>
  Effect.gen(function*() {
    const commands = yield* Queue.unbounded<Command>()
    let cut = false
    const behind = (store: KVStore.KVStore["Service"]) => Layer.succeed(KVStore.KVStore, overLink(store, () => cut))
    const own = servicesAndCleanup({ registry: behind(stores.registry), election: behind(stores.election) })
    yield* Effect.forkScoped(Effect.provide(live(spec, commands), own))
    const actor: Actor = {
      handOver: Effect.asVoid(Queue.offer(commands, "hand over")),
      leave: Effect.asVoid(Queue.offer(commands, "leave")),
      crash: Effect.sync(() => {
        cut = true
      })
    }
    return actor
  })

const program = fileURLToPath(new URL("process.ts", import.meta.url))

/** A process of its own, told what to do on its standard input, and ended with the scope. */
export const inProcesses = (url: string) => (spec: Spec) =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [program, JSON.stringify(spec)], {
          env: { ...process.env, AEGIS_NATS_URL: url },
          stdio: ["pipe", "ignore", "inherit"]
        })
      ),
      (running) =>
        Effect.promise(async () => {
          if (running.exitCode !== null || running.signalCode !== null) return
          running.kill("SIGKILL")
          await once(running, "exit")
        })
    )
    // A killed process's pipe is closed: that is its end, not a failure of ours.
    child.stdin.on("error", () => child.kill("SIGKILL"))
    const tell = (command: Command) => Effect.sync(() => child.stdin.write(`${command}\n`))
    const actor: Actor = {
      handOver: Effect.asVoid(tell("hand over")),
      leave: Effect.asVoid(tell("leave")),
      crash: Effect.sync(() => child.kill("SIGKILL"))
    }
    return actor
  })
