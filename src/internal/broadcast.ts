/**
 * Values that several subscribers receive, each in its own queue. Effect's `PubSub` and `SubscriptionRef` do more, and
 * are 3 % of a bundle.
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export class Broadcast<A> {
  /** The queues of the subscribers. Most values never have one: an empty set would be a tenth of a registration. */
  private queues: Set<Queue.Queue<A>> | undefined

  publish(value: A): void {
    for (const queue of this.queues ?? []) Queue.offerUnsafe(queue, value)
  }

  /** The values that are published from now on, until the scope closes. */
  get subscribe(): Effect.Effect<Stream.Stream<A>, never, Scope.Scope> {
    const queues = this.queues ??= new Set()
    return Effect.map(
      Effect.acquireRelease(
        Effect.map(Queue.unbounded<A>(), (queue) => {
          queues.add(queue)
          return queue
        }),
        (queue) => Effect.andThen(Effect.sync(() => queues.delete(queue)), Queue.shutdown(queue))
      ),
      Stream.fromQueue
    )
  }
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
  get changes(): Stream.Stream<A> {
    return Stream.unwrap(
      Effect.map(this.later.subscribe, (later) => Stream.concat(Stream.sync(() => this.value), later))
    )
  }
}
