/**
 * Who listens where: the way of an answer, and of what a consumer pushes, to a
 * client. A subscription is a subject, or all subjects one token below one.
 */
import type { Outgoing } from "./messages.ts"

export interface Listener {
  /** `subscription` is the subject as it was subscribed to: what a consumer pushes has the subject that it is stored under. */
  readonly hear: (message: Outgoing, subscription: string) => void
}

interface Subscribed {
  readonly subject: string
  readonly listeners: Array<Listener>
}

const isWide = (subject: string): boolean => subject.endsWith(".*")

/** `a.b` of both `a.b.*` and `a.b.c`. */
const parentOf = (subject: string): string => subject.slice(0, Math.max(0, subject.lastIndexOf(".")))

const hear = (subscribed: Subscribed | undefined, message: Outgoing): boolean => {
  if (subscribed === undefined) return false
  for (const listener of subscribed.listeners) listener.hear(message, subscribed.subject)
  return true
}

export class Interest {
  private readonly exact = new Map<string, Subscribed>()
  /** By what comes before the last token. */
  private readonly wide = new Map<string, Subscribed>()
  /** Told of a subject that has gained or lost a listener. */
  private readonly onChange: (subject: string) => void

  constructor(onChange: (subject: string) => void) {
    this.onChange = onChange
  }

  add(subject: string, listener: Listener): void {
    const [map, key] = this.placeOf(subject)
    const found = map.get(key)
    if (found === undefined) map.set(key, { subject, listeners: [listener] })
    else found.listeners.push(listener)
    this.onChange(subject)
  }

  remove(subject: string, listener: Listener): void {
    const [map, key] = this.placeOf(subject)
    const found = map.get(key)
    const index = found?.listeners.indexOf(listener) ?? -1
    if (found === undefined || index === -1) return
    found.listeners.splice(index, 1)
    if (found.listeners.length === 0) map.delete(key)
    this.onChange(subject)
  }

  has(subject: string): boolean {
    return this.exact.has(subject) || this.wide.has(parentOf(subject))
  }

  /** Whether anybody heard it. */
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
