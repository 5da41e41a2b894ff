/** Requests that a leader hands over, as they are stored and as this process has observed them. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { textOfRecord } from "../storedJson.ts"

const StepDownRequest = Schema.Struct({
  /** The nonce of the leader: only this leader honours the request (E30). */
  nonce: Schema.String,
  /** By the clock of the process that asked, for display. */
  requestedAt: Schema.DateTimeUtc,
  /** The process that asked, for display. */
  by: Schema.String
})

export type StepDownRequest = typeof StepDownRequest.Type

const json = Schema.fromJsonString(Schema.toCodecJson(StepDownRequest))
const encodeText = Schema.encodeSync(json)
const decodeText = Schema.decodeUnknownResult(json)

export const encode = (request: StepDownRequest): Uint8Array => new TextEncoder().encode(encodeText(request))

/** None if the value is no request: nobody is asked by it. */
export const decode = (value: Uint8Array): Option.Option<StepDownRequest> =>
  Result.getSuccess(Result.flatMap(textOfRecord(value), decodeText))

/** The newest request of each election. */
export class StepDownRequests {
  private readonly byElection = new Map<string, StepDownRequest>()
  private readonly waiting = new Map<string, Set<(request: StepDownRequest) => void>>()

  /** Takes in a key, from the watch or from a read. */
  see(election: string, value: Uint8Array | undefined): void {
    const request = value === undefined ? Option.none() : decode(value)
    if (Option.isNone(request)) {
      this.byElection.delete(election)
      return
    }
    this.byElection.set(election, request.value)
    for (const wake of Array.from(this.waiting.get(election) ?? [])) wake(request.value)
  }

  /** Waits until the leader with this nonce is asked to hand over. */
  requested(election: string, nonce: string): Effect.Effect<StepDownRequest> {
    return Effect.callback<StepDownRequest>((resume) => {
      const known = this.byElection.get(election)
      if (known?.nonce === nonce) return resume(Effect.succeed(known))
      const waiting = this.waiting.get(election) ?? new Set()
      this.waiting.set(election, waiting)
      const forget = () => {
        waiting.delete(wake)
        if (waiting.size === 0 && this.waiting.get(election) === waiting) this.waiting.delete(election)
      }
      const wake = (request: StepDownRequest) => {
        if (request.nonce !== nonce) return
        forget()
        resume(Effect.succeed(request))
      }
      waiting.add(wake)
      return Effect.sync(forget)
    })
  }
}
