/**
 * The failed attempts of a client to reconnect. Both clients keep the errors of these
 * attempts to themselves and report only what a server says, so this module listens
 * at the method with which they try a server. Their types do not declare it: without
 * the method no failure is reported, and errors of the store lack their cause.
 */

/** `server` is `host:port`. */
export type OnFailedAttempt = (server: string, error: unknown) => void

/** The fields of a client's protocol handler that are used here. */
interface Protocol {
  /** Tries the addresses of a server, and rejects with the error of the last one. */
  _doDial: (server: unknown) => Promise<void>
  /** The last error that the server sent. */
  readonly lastError?: unknown
  readonly transport?: { readonly closeError?: unknown }
}

const protocolOf = (connection: object): Protocol | undefined => {
  const protocol: unknown = Reflect.get(connection, "protocol")
  return typeof protocol === "object" && protocol !== null && typeof Reflect.get(protocol, "_doDial") === "function"
    ? protocol as Protocol
    : undefined
}

/**
 * The most telling error of a failed attempt: the server's error during the attempt, else the error with which the
 * connection ended, else the error of the client. If the server ends the connection before the client is logged in, the client
 * waits, and its error is a timeout.
 */
const tellingError = ({ lastError, transport }: Protocol, before: unknown, error: unknown): unknown => {
  if (lastError !== undefined && lastError !== before) return lastError
  return transport?.closeError ?? error
}

/** The listeners of each protocol handler whose method was replaced. Several stores can share a connection. */
const listening = new WeakMap<Protocol, Set<OnFailedAttempt>>()

const listenersOf = (protocol: Protocol): Set<OnFailedAttempt> => {
  const known = listening.get(protocol)
  if (known !== undefined) return known
  const listeners = new Set<OnFailedAttempt>()
  const dial = protocol._doDial
  protocol._doDial = async (server) => {
    const before = protocol.lastError
    try {
      await dial.call(protocol, server)
    } catch (error) {
      const told = tellingError(protocol, before, error)
      for (const listener of listeners) listener(String(server), told)
      throw error
    }
  }
  listening.set(protocol, listeners)
  return listeners
}

/** Adds a listener, and returns the function that removes it. */
export const onFailedAttempt = (connection: object, listener: OnFailedAttempt): () => void => {
  const protocol = protocolOf(connection)
  if (protocol === undefined) return () => {}
  const listeners = listenersOf(protocol)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
  }
}
