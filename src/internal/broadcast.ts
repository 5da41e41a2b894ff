/**
 * Values that several subscribers receive, each in its own queue. Effect's `PubSub` and `SubscriptionRef` do more, and
 * are 3 % of a bundle.
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

/** A value that others follow. */
export class Current<A> {
  value: A
  private readonly later = new Broadcast<A>()

  constructor(value: A) {
    this.value = value
  }

  set(next: A): void {
    this.value = next
    this.later.publish(next)
  }

  /** The current value, then each later one. */
  readonly changes: Stream.Stream<A> = Stream.unwrap(
    Effect.map(this.later.subscribe, (later) => Stream.concat(Stream.sync(() => this.value), later))
  )
}
