/** Processes that run the commands of their parent, as the parent sees them. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { forked } from "./forked.ts"
import { sharedMillis } from "./sharedClock.ts"

class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

export interface Commanded<Command, Answer> {
  readonly name: string
  /** Runs one command and waits for its answer. */
  readonly tell: (command: Command) => Effect.Effect<Answer, CommandFailed>
  /** Returns the time of the signal, by the clock that all processes share. */
  readonly signal: (signal: "SIGSTOP" | "SIGCONT" | "SIGTERM") => Effect.Effect<number>
  /** Returns the time of the signal. */
  readonly kill: Effect.Effect<number>
}

interface Started<Answer, Message> {
  readonly name: string
  readonly script: URL
  readonly options: unknown
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Takes in a message. Returns the answer to the last command, or to the start, if the message is one. */
  readonly receive: (message: Message) => Result.Result<Answer, string> | undefined
}

/** A process starts and answers within this time, also on a busy machine. */
const patience = "60 seconds"

/** Starts a process and waits for its first answer. It is killed when the scope closes. */
export const startCommanded = Effect.fnUntraced(function*<Command extends object, Answer, Message>(
  { env, name, options, receive, script }: Started<Answer, Message>
): Effect.fn.Return<Commanded<Command, Answer>, CommandFailed, Scope.Scope> {
  const child = yield* forked(script, options, env)
  let answer = Deferred.makeUnsafe<Answer, CommandFailed>()
  /** A failure that is not the answer to a command: the next command fails with it. */
  let broken: CommandFailed | undefined
  const failed = (message: string) => new CommandFailed({ message: `${name}: ${message}` })
  child.process.on("message", (message) => {
    const received = receive(message as Message)
    if (received === undefined) return
    const isAnswer = Deferred.doneUnsafe(answer, Effect.mapError(Effect.fromResult(received), failed))
    if (!isAnswer && Result.isFailure(received)) broken ??= failed(received.failure)
  })
  const answered = (waiting: typeof answer) =>
    Effect.raceFirst(Deferred.await(waiting), Effect.mapError(child.ended, ({ message }) => failed(message))).pipe(
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(failed(`no answer within ${patience}`)) })
    )
  const at = <E>(act: Effect.Effect<unknown, E>) =>
    Effect.suspend(() => {
      const now = sharedMillis()
      return Effect.as(act, now)
    })
  yield* answered(answer)
  return {
    name,
    tell: (command) =>
      Effect.suspend(() => {
        if (broken !== undefined) return Effect.fail(broken)
        answer = Deferred.makeUnsafe()
        child.process.send(command)
        return answered(answer)
      }),
    signal: (signal) => at(Effect.sync(() => child.process.kill(signal))),
    kill: at(child.kill)
  }
})

/** Waits until a condition holds, for at most `within` milliseconds. Returns whether it holds. */
export const holds = (condition: () => boolean, within: number): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const end = sharedMillis() + within
    const check: Effect.Effect<boolean> = Effect.suspend(() =>
      condition()
        ? Effect.succeed(true)
        : sharedMillis() > end
        ? Effect.succeed(false)
        : Effect.andThen(Effect.sleep("5 millis"), check)
    )
    return check
  })
