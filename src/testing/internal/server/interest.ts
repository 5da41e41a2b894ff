/**
 * The subscriptions of all clients: delivers answers and the messages of
 * consumers. A subscription is a subject, or a subject with `.*` at its end.
 */
import type { Outgoing } from "./messages.ts"

export interface Listener {
  /**
   * `subscription` is the subject that was subscribed to. It can differ from `message.subject`: a consumer
   * delivers messages with the subject under which they are stored.
   */
  readonly hear: (message: Outgoing, subscription: string) => void
}

interface Subscribed {
  readonly subject: string
  readonly listeners: Array<Listener>
}

const isWide = (subject: string): boolean => subject.endsWith(".*")

/** Returns `a.b` for `a.b.*` and for `a.b.c`. */
const parentOf = (subject: string): string => subject.slice(0, Math.max(0, subject.lastIndexOf(".")))

const hear = (subscribed: Subscribed | undefined, message: Outgoing): boolean => {
  if (subscribed === undefined) return false
  for (const listener of subscribed.listeners) listener.hear(message, subscribed.subject)
  return true
}

export class Interest {
  private readonly exact = new Map<string, Subscribed>()
  /** Subscriptions with `.*`, by the subject without the last token. */
  private readonly wide = new Map<string, Subscribed>()
  add(subject: string, listener: Listener): void {
    const [map, key] = this.placeOf(subject)
    const found = map.get(key)
    if (found === undefined) map.set(key, { subject, listeners: [listener] })
    else found.listeners.push(listener)
  }

  remove(subject: string, listener: Listener): void {
    const [map, key] = this.placeOf(subject)
    const found = map.get(key)
    const index = found?.listeners.indexOf(listener) ?? -1
    if (found === undefined || index === -1) return
    found.listeners.splice(index, 1)
    if (found.listeners.length === 0) map.delete(key)
  }

  has(subject: string): boolean {
    return this.exact.has(subject) || this.wide.has(parentOf(subject))
  }

  /** Delivers a message; returns whether it had a listener. */
  deliver(message: Outgoing): boolean {
    return this.deliverTo(message.subject, message)
  }

  deliverTo(subject: string, message: Outgoing): boolean {
    const heard = hear(this.exact.get(subject), message)
    return hear(this.wide.get(parentOf(subject)), message) || heard
  }

  private placeOf(subject: string): readonly [Map<string, Subscribed>, string] {
    return isWide(subject) ? [this.wide, parentOf(subject)] : [this.exact, subject]
  }
}
