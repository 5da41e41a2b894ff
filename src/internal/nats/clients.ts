/**
 * What the two clients' connections have in common: their shape, their options,
 * and a stream of statuses that tells of the link.
 */
import type { LinkEvent, NatsPort } from "./port.ts"

interface Connection<Status> {
  readonly status: () => AsyncIterable<Status>
  readonly closed: () => Promise<unknown>
  readonly isClosed: () => boolean
}

/** Users who may not use every inbox connect with a prefix, which the clients keep among their options. */
export const inboxPrefixOf = (connection: object): string | undefined => {
  const options: unknown = Reflect.get(connection, "options")
  const prefix: unknown = typeof options === "object" && options !== null
    ? Reflect.get(options, "inboxPrefix")
    : undefined
  return typeof prefix === "string" ? prefix : undefined
}

/** Follows the connection's own word on whether it is there, until it is closed or released. */
export const listen = <Status>(
  connection: Connection<Status>,
  toLinkEvent: (status: Status) => LinkEvent | undefined
): Pick<NatsPort, "isConnected" | "isClosed" | "onLink" | "release"> => {
  const listeners = new Set<(event: LinkEvent) => void>()
  const statuses = connection.status()
  let state: "up" | "down" | "closed" = connection.isClosed() ? "closed" : "up"
  const tell = (event: LinkEvent) => {
    if (event._tag === "Disconnected") state = "down"
    if (event._tag === "Connected") state = "up"
    // A copy: whoever is told may listen anew at once.
    for (const listener of Array.from(listeners)) listener(event)
  }
  const follow = async () => {
    for await (const status of statuses) {
      const event = toLinkEvent(status)
      if (event !== undefined) tell(event)
    }
  }
  const closed = () => {
    if (state === "closed") return
    state = "closed"
    tell({ _tag: "Closed" })
  }
  // The statuses fail, or end, with the connection; its own promise says so in any case.
  follow().catch(closed)
  connection.closed().then(closed, closed)
  return {
    isConnected: () => state === "up" && !connection.isClosed(),
    isClosed: () => connection.isClosed(),
    onLink: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    release: () => {
      closed()
      listeners.clear()
      // Both clients' statuses are queues that can be ended; the type says less.
      const stop: unknown = Reflect.get(statuses, "stop")
      if (typeof stop === "function") Reflect.apply(stop, statuses, [])
    }
  }
}

interface Told {
  readonly info?: { readonly version: string; readonly max_payload: number } | undefined
}

/** What the server said of itself; while there is none, what the last one said. */
export const serverOf = (connection: Told): NatsPort["server"] => {
  let last: ReturnType<NatsPort["server"]> = { version: "unknown", maxPayload: Number.POSITIVE_INFINITY }
  const current = () => {
    const { info } = connection
    if (info !== undefined && info !== null) last = { version: info.version, maxPayload: info.max_payload }
    return last
  }
  current()
  return current
}

/** Whether a value is a connection, as far as its methods tell. */
export const hasMethods = (value: unknown, names: ReadonlyArray<string>): value is object =>
  typeof value === "object" && value !== null && names.every((name) => typeof Reflect.get(value, name) === "function")

/** What both clients' connections have. */
export const connectionMethods = ["publish", "subscribe", "status", "closed", "drain", "isClosed"]
