/** The two ways to run an instance: in a fiber, whose store a crash disconnects, or in a process that can be killed. */
import { Effect, Queue, Stream } from "effect"
import { KVStore } from "effect-aegis"
import { Crash } from "effect-aegis/testing"
import { ChildProcess } from "effect/process"
import { type Command, runInstance, type Spec } from "./instance.ts"

export interface Actor {
  readonly send: (command: Command) => Effect.Effect<void>
  /** Ends the instance at once: it neither resigns nor deregisters. */
  readonly crash: Effect.Effect<void>
}

export const inFibers = Effect.fnUntraced(function*(spec: Spec) {
  const commands = yield* Queue.unbounded<Command>()
  const { crash, store } = yield* Crash.make
  const instance = runInstance(spec, Stream.fromQueue(commands)).pipe(
    Effect.provideService(KVStore.KVStore, store)
  )
  yield* Effect.forkScoped(crash.run(instance))
  const actor: Actor = { send: (command) => Effect.asVoid(Queue.offer(commands, command)), crash: crash.crash }
  return actor
})

const program = `${import.meta.dirname}/process.ts`

/** After SIGTERM a process deregisters within milliseconds if it can reach the server. It is killed after this time. */
const shutdownTimeout = "5 seconds"

export const inProcesses = (url: string) =>
  Effect.fnUntraced(function*(spec: Spec) {
    const commands = yield* Queue.unbounded<Command>()
    const process = yield* ChildProcess.make(globalThis.process.execPath, [program, JSON.stringify(spec)], {
      env: { AEGIS_NATS_URL: url },
      extendEnv: true,
      stdin: Stream.fromQueue(commands).pipe(Stream.map((command) => `${command}\n`), Stream.encodeText),
      stdout: "ignore",
      stderr: "inherit",
      forceKillAfter: shutdownTimeout
    })
    const actor: Actor = {
      send: (command) => Effect.asVoid(Queue.offer(commands, command)),
      crash: Effect.orDie(process.kill({ killSignal: "SIGKILL" }))
    }
    return actor
  })
