/**
 * The error of a process that has crashed.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The process that was to run an effect has crashed.
 *
 * @category errors
 * @since 0.1.0
 */
export class ProcessCrashed extends Data.TaggedError("ProcessCrashed")<{}> {
  override get message(): string {
    return "the process has crashed: build its layers again for a new one"
  }
}
