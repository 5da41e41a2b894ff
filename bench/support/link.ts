/** A TCP link to a server that can be cut, or lose everything that it is given. */
import * as Effect from "effect/Effect"
import { connect, createServer, type Socket } from "node:net"

interface Link {
  readonly url: string
  /** Closes the connections, and each new one at once, until `heal`. */
  readonly cut: Effect.Effect<void>
  /** Forwards nothing until `heal`. The connections stay open, and new ones are accepted. */
  readonly silence: Effect.Effect<void>
  readonly heal: Effect.Effect<void>
}

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

const sides = ({ far, near }: Pair) => [near, far]

const listen = async (port: number) => {
  const pairs = new Set<Pair>()
  let state: "open" | "cut" | "silent" = "open"
  const server = createServer((near) => {
    if (state === "cut") {
      near.destroy()
      return
    }
    const far = connect(port, "127.0.0.1")
    const pair = { near, far }
    pairs.add(pair)
    const close = () => {
      pairs.delete(pair)
      sides(pair).forEach((socket) => socket.destroy())
    }
    for (const socket of sides(pair)) socket.on("error", close).on("close", close)
    near.on("data", (data) => far.write(data))
    far.on("data", (data) => near.write(data))
    if (state === "silent") sides(pair).forEach((socket) => socket.pause())
  })
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(0, "127.0.0.1", resolve)
  })
  const address = server.address()
  const url = `nats://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const each = (next: typeof state, act: (socket: Socket) => void) =>
    Effect.sync(() => {
      // Otherwise the process would have another link, and the fault no effect.
      if (state === "open" && pairs.size === 0) throw new Error("expected a connection on the link, got none")
      state = next
      for (const pair of pairs) sides(pair).forEach(act)
    })
  const link: Link = {
    url,
    cut: each("cut", (socket) => socket.destroy()),
    silence: each("silent", (socket) => socket.pause()),
    heal: each("open", (socket) => socket.resume())
  }
  const end = () => {
    server.close()
    for (const pair of pairs) sides(pair).forEach((socket) => socket.destroy())
  }
  return { link, end }
}

/** A link to a port of this machine, until the scope closes. */
export const startLink = (port: number) =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => listen(port)), ({ end }) => Effect.sync(end)),
    ({ link }) => link
  )
