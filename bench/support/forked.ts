/** Runs scripts in processes of their own, and receives what they send. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { whenProcessEnds } from "../../tools/natsServer/binaries.ts"

class ProcessFailed extends Data.TaggedError("ProcessFailed")<{ readonly message: string }> {}

/** A process that runs until the scope closes. */
export interface Forked {
  readonly process: ChildProcess
  /** Fails when the process ends by itself. */
  readonly ended: Effect.Effect<never, ProcessFailed>
  /** Ends the process with SIGKILL and waits for its end. */
  readonly kill: Effect.Effect<void>
}

/** Starts a script with its task. `env` is added to the environment. */
export const forked = (
  script: URL,
  task: unknown,
  env: NodeJS.ProcessEnv = {}
): Effect.Effect<Forked, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = fork(script, [JSON.stringify(task)], {
        execArgv: ["--expose-gc"],
        env: { ...process.env, ...env }
      })
      const gone = Deferred.makeUnsafe<string>()
      child.once("exit", (code, signal) => Deferred.doneUnsafe(gone, Effect.succeed(`${signal ?? code}`)))
      const ended = Effect.flatMap(Deferred.await(gone), (how) =>
        Effect.fail(new ProcessFailed({ message: `the process of ${script.pathname} has ended (${how})` })))
      const kill = Effect.suspend(() => {
        if (child.exitCode === null && child.signalCode === null) {
          child.kill("SIGKILL")
        }
        return Effect.asVoid(Deferred.await(gone))
      })
      return {
        process: child,
        ended,
        kill,
        takeBack: whenProcessEnds(() =>
          child.kill("SIGKILL")
        )
      }
    }),
    ({ kill, takeBack }) => Effect.andThen(kill, Effect.sync(takeBack))
  )

/** The next message of a process. */
const messageOf = ({ ended, process }: Forked): Effect.Effect<unknown, ProcessFailed> =>
  Effect.raceFirst(
    Effect.callback<unknown>((resume) => {
      const receive = (message: unknown) => resume(Effect.succeed(message))
      process.once("message", receive)
      return Effect.sync(() => process.off("message", receive))
    }),
    ended
  )

/** The first message of a process that is started for it. */
export const resultOf = (script: URL, task: unknown): Effect.Effect<unknown, ProcessFailed> =>
  Effect.scoped(Effect.flatMap(forked(script, task), messageOf))
