/**
 * The errors of a simulation.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

/**
 * The process that was to run this has crashed.
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeCrashed extends Data.TaggedError("NodeCrashed")<{ readonly node: string }> {
  override get message(): string {
    return `the process on ${this.node} has crashed: start it again with node.restart`
  }
}

/**
 * A run that did not end: nothing could happen any more (the program waits for
 * something outside the simulation, or for itself), its limit was reached, or it ran
 * on without time passing.
 *
 * @category errors
 * @since 0.1.0
 */
export class SimulationStuck extends Data.TaggedError("SimulationStuck")<{
  readonly seed: string
  readonly how: "nothing left" | "time is up" | "spinning" | "the real world"
  readonly at: Duration.Duration
}> {
  readonly #timeline: string

  constructor(fields: {
    readonly seed: string
    readonly how: "nothing left" | "time is up" | "spinning" | "the real world"
    readonly at: Duration.Duration
    readonly timeline: string
  }) {
    const { timeline, ...shown } = fields
    super(shown)
    this.#timeline = timeline
  }

  /**
   * The timeline until then; empty unless `timeline` was true.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  override get message(): string {
    const why = {
      "nothing left":
        "nothing can happen any more: the program waits for the real world (a promise, a socket), or for itself",
      "time is up": "the limit of its time is reached: end the program, or raise `limit`",
      spinning: "work goes on and on without time passing: a loop that never sleeps",
      "the real world": "something was waited for that is not simulated (a promise, a socket, a timer of the host)"
    }
    return `the simulation with seed ${this.seed} stands still after ${Duration.format(this.at)}: ${why[this.how]}`
  }
}
