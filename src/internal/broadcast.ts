/**
 * Values that each subscriber receives in a queue of its own. Effect's `PubSub` can do more, and would be 3 % of a
 * bundle.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export class Broadcast<A> {
  private readonly queues = new Set<Queue.Queue<A>>()

  publish(value: A): void {
    for (const queue of this.queues) Queue.offerUnsafe(queue, value)
  }

  /** The values that are published from now on, until the scope closes. */
  readonly subscribe: Effect.Effect<Stream.Stream<A>, never, Scope.Scope> = Effect.map(
    Effect.acquireRelease(
      Effect.map(Queue.unbounded<A>(), (queue) => {
        this.queues.add(queue)
        return queue
      }),
      (queue) => Effect.andThen(Effect.sync(() => this.queues.delete(queue)), Queue.shutdown(queue))
    ),
    Stream.fromQueue
  )
}
