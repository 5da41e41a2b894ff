/**
 * Whether other processes see the registrations of this process as live (docs/protocols/registry.md, R14). One fiber follows
 * all of them: one for each would be a quarter of what a registration keeps in memory.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { registryInvisible } from "../../Metrics.ts"
import type { Visibility } from "../../Registry.ts"
import type { RegistryReason } from "../../RegistryError.ts"
import type { Current } from "../broadcast.ts"
import { forkReported } from "../fibers.ts"
import { causeOf } from "../logs.ts"
import { addUnsafe } from "../metrics.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { OwnRecord } from "./ownRecord.ts"
import { tagOf } from "./reasons.ts"
import { shortestRetry } from "./schedule.ts"

export const visible: Visibility = { _tag: "Visible" }

export interface Followed {
  readonly own: OwnRecord
  readonly visibility: Current<Visibility>
  /** That of the registration, for its log lines. */
  readonly context: Context.Context<never>
  /** Why the last attempt of a heartbeat failed; undefined after one that was stored. */
  lastFailure: RegistryReason | undefined
  /** The reason with which the gauge counts it; undefined while it does not. */
  counted: string | undefined
}

export class Visibilities {
  private readonly all = new Set<Followed>()
  private readonly added = Latch.makeUnsafe(false)
  /** The scope of the fiber, while there is a registration. */
  private scope: Scope.Closeable | undefined
  private readonly bucket: string

  constructor(bucket: string) {
    this.bucket = bucket
  }

  /**
   * Follows a stored record until `end`: `Invisible` once other processes may see the instance as expired, and `Visible` after
   * the next stored heartbeat.
   */
  follow(followed: Followed, maxAge: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.all.add(followed)
      this.added.openUnsafe()
      if (this.scope !== undefined) return Effect.void
      this.scope = Scope.makeUnsafe()
      return Effect.asVoid(
        Scope.provide(forkReported("Registry", "the visibility of registrations", this.judgeAll(maxAge)), this.scope)
      )
    })
  }

  end(followed: Followed): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.all.delete(followed)
      this.count(followed, undefined)
      const { scope } = this
      if (this.all.size > 0 || scope === undefined) return Effect.void
      this.scope = undefined
      return Scope.close(scope, Exit.void)
    })
  }

  /** Counts a registration in the gauge as invisible for this reason, or not. */
  private count(followed: Followed, reason: string | undefined): void {
    const { context, counted, own } = followed
    if (reason === counted) return
    followed.counted = reason
    const attributes = (reason: string) => ({ bucket: this.bucket, service: own.names.serviceName, reason })
    if (counted !== undefined) addUnsafe(registryInvisible, attributes(counted), -1, context)
    if (reason !== undefined) addUnsafe(registryInvisible, attributes(reason), 1, context)
  }

  private judgeAll(maxAge: Duration.Duration): Effect.Effect<never> {
    return Effect.gen({ self: this }, function*() {
      const clock = yield* Clock.Clock
      while (true) {
        this.added.closeUnsafe()
        let next = Duration.toMillis(maxAge)
        for (const followed of this.all) {
          const silentFor = monotonicMillis(clock) - followed.own.landedAt
          const left = Duration.toMillis(maxAge) - silentFor
          yield* judge(followed, silentFor, maxAge)
          // It may have ended while a line was logged.
          if (this.all.has(followed)) this.count(followed, countedAs(followed))
          next = Math.min(next, left > 0 ? left : Duration.toMillis(shortestRetry))
        }
        yield* Effect.raceFirst(Effect.sleep(wholeMillis(next)), this.added.await)
      }
    })
  }
}

/** An instance that has left is invisible on purpose. */
const countedAs = ({ own, visibility: { value } }: Followed): string | undefined =>
  value._tag === "Visible" || own.isLeaving
    ? undefined
    : Option.match(value.reason, { onNone: () => "none", onSome: tagOf })

/** A time for a line, in tenths of a second. */
const tenths = (millis: number): Duration.Duration => Duration.millis(Math.floor(millis / 100) * 100)

const judge = (followed: Followed, silentFor: number, maxAge: Duration.Duration): Effect.Effect<void> => {
  const { value } = followed.visibility
  const late = silentFor - Duration.toMillis(maxAge)
  if (late < 0) return value._tag === "Visible" ? Effect.void : becomeVisible(followed, value)
  return value._tag === "Visible"
    ? becomeInvisible(followed, silentFor, late)
    : Effect.sync(() => explain(followed, value))
}

type Invisible = Extract<Visibility, { readonly _tag: "Invisible" }>

const becomeVisible = ({ context, own, visibility }: Followed, { reason }: Invisible): Effect.Effect<void> =>
  Effect.suspend(() => {
    visibility.set(visible)
    // Without a failed heartbeat nothing else says that the instance is back.
    return Option.isNone(reason)
      ? Effect.provideContext(Effect.logInfo(`heartbeats of ${own.label} are stored again`), context)
      : Effect.void
  })

/** `late`: the time since the instance became invisible. A process that did not run notices it later. */
const becomeInvisible = (
  { context, lastFailure, own, visibility }: Followed,
  silentFor: number,
  late: number
): Effect.Effect<void> => {
  const set = Effect.map(DateTime.now, (now) => {
    const since = DateTime.subtractDuration(now, Duration.millis(late))
    visibility.set({ _tag: "Invisible", since, reason: Option.fromUndefinedOr(lastFailure) })
  })
  // An instance that has left or ended is invisible on purpose: no warning.
  if (own.isOver) return set
  const why = lastFailure === undefined ? "" : ` (${causeOf(lastFailure)})`
  const warning = Effect.logWarning(
    `no heartbeat of ${own.label} has been stored for ${Duration.format(tenths(silentFor))}${why}: ` +
      "other services may consider this instance expired"
  )
  return Effect.andThen(set, Effect.provideContext(warning, context))
}

/** The reason is that of the last failed heartbeat. Heartbeats log it, so no line is needed here. */
const explain = ({ lastFailure, visibility }: Followed, { reason, since }: Invisible): void => {
  if (lastFailure === undefined) return
  const isKnown = Option.isSome(reason) && reason.value.message === lastFailure.message
  if (!isKnown) visibility.set({ _tag: "Invisible", since, reason: Option.some(lastFailure) })
}
