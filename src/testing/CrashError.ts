/**
 * The error of `Crash`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * `Crash.run` failed because the process crashed during the effect, or before it.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProcessCrashed extends Data.TaggedError("ProcessCrashed")<{}> {
  /** What failed, and what to do. */
  override get message(): string {
    return "the process has crashed: build its layers again to start a new process"
  }
}
