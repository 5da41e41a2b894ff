/**
 * Errors of `Simulation`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

/**
 * `SimulatedNode.run` failed because the process of the machine crashed during the
 * effect, or before it.
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeCrashed extends Data.TaggedError("NodeCrashed")<{
  /** The id of the machine. */
  readonly node: string
}> {
  /** What failed, and what to do. */
  override get message(): string {
    return `the process on ${this.node} has crashed: start a new process with node.restart`
  }
}

/**
 * A simulation run did not end.
 *
 * **Details**
 *
 * The field `how` is the reason:
 *
 * - `nothing left`: no event is scheduled. The program waits for something outside
 *   the simulation, such as a promise or a socket, or for itself
 * - `time is up`: the simulated time exceeded `RunOptions.limit`
 * - `spinning`: a loop runs without advancing simulated time
 * - `the real world`: the program waited for a promise, a socket or a timer of the
 *   host while simulated events were scheduled
 *
 * @category errors
 * @since 0.1.0
 */
export class SimulationStuck extends Data.TaggedError("SimulationStuck")<{
  /** The random seed of the run, as text. */
  readonly seed: string
  /** The reason. */
  readonly how: "nothing left" | "time is up" | "spinning" | "the real world"
  /** The simulated time at which the run got stuck. */
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
   * The timeline of the run. Empty unless `RunOptions.timeline` is true.
   *
   * @since 0.1.0
   */
  get timeline(): string {
    return this.#timeline
  }

  /** Which run is stuck, at what time, why, and what to do. */
  override get message(): string {
    const why = {
      "nothing left":
        "no event is scheduled: the program waits for real I/O (not simulated: promises, sockets) or for itself",
      "time is up": "the limit of simulated time is reached: end the program, or raise `limit`",
      spinning: "a loop runs without advancing simulated time: let it sleep",
      "the real world": "the program waits for real I/O (not simulated: promises, sockets, timers of the host)"
    }
    return `the simulation with seed ${this.seed} is stuck after ${Duration.format(this.at)}: ${why[this.how]}`
  }
}
