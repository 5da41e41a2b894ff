/**
 * Values that several subscribers receive, each in its own queue. Effect's `PubSub` and `SubscriptionRef` do more, and
 * are 3 % of a bundle.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** What happens to the values of a subscriber that does not receive them. */
export interface Backlog<A> {
  /** The number of values from which on they are reduced. */
  readonly from: number
  readonly reduce: (values: ReadonlyArray<A>) => ReadonlyArray<A>
}

interface Subscriber<A> {
  readonly queue: Queue.Queue<A>
  /** The number of values at which they are reduced next. */
  reduceAt: number
}

/** Takes all values of a queue. */
const drain = <A>(queue: Queue.Queue<A>): ReadonlyArray<A> => {
  const values: Array<A> = []
  for (let taken = Queue.takeUnsafe(queue); taken !== undefined; taken = Queue.takeUnsafe(queue)) {
    if (Exit.isFailure(taken)) break
    values.push(taken.value)
  }
  return values
}

export class Broadcast<A> {
  /** Most values never have a subscriber: an empty set would be a tenth of a registration. */
  private subscribers: Set<Subscriber<A>> | undefined
  private readonly backlog: Backlog<A> | undefined

  /** Without a `backlog` the values of a subscriber that does not receive them are kept without a limit. */
  constructor(backlog?: Backlog<A>) {
    this.backlog = backlog
  }

  publish(value: A): void {
    for (const subscriber of this.subscribers ?? []) {
      Queue.offerUnsafe(subscriber.queue, value)
      if (this.backlog !== undefined && Queue.sizeUnsafe(subscriber.queue) >= subscriber.reduceAt) {
        this.reduce(subscriber, this.backlog)
      }
    }
  }

  /** Reduces the values of a subscriber. The next time is when they are twice as many, so that the cost of one value is constant. */
  private reduce(subscriber: Subscriber<A>, { from, reduce }: Backlog<A>): void {
    const left = reduce(drain(subscriber.queue))
    Queue.offerAllUnsafe(subscriber.queue, left)
    subscriber.reduceAt = Math.max(from, left.length * 2)
  }

  /** The values that are published from now on, until the scope closes. */
  get subscribe(): Effect.Effect<Stream.Stream<A>, never, Scope.Scope> {
    const subscribers = this.subscribers ??= new Set()
    return Effect.map(
      Effect.acquireRelease(
        Effect.map(Queue.unbounded<A>(), (queue) => {
          const subscriber = { queue, reduceAt: this.backlog?.from ?? Number.POSITIVE_INFINITY }
          subscribers.add(subscriber)
          return subscriber
        }),
        (subscriber) =>
          Effect.andThen(Effect.sync(() => subscribers.delete(subscriber)), Queue.shutdown(subscriber.queue))
      ),
      ({ queue }) => Stream.fromQueue(queue)
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
