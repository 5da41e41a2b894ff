/** A TCP server for tests that is no NATS server: it counts who connects, and says what it is told to. */
import * as Effect from "effect/Effect"
import { createServer, type Socket } from "node:net"

interface Listener {
  readonly port: number
  readonly url: string
  /** How many have ever connected. */
  readonly taken: () => number
  /** How many are connected now. */
  readonly open: () => number
}

type Talk = (socket: Socket) => void

export const silent: Talk = () => undefined

const info = { server_id: "x", version: "2.10.0", proto: 1, headers: true, max_payload: 1024, nonce: "a nonce to sign" }

/** Says who it is, and nothing more. */
export const introduces: Talk = (socket) => {
  socket.write(`INFO ${JSON.stringify(info)}\r\n`)
}

export const nonce = info.nonce

/** Takes everybody, as a server without accounts does, and keeps what they said of themselves. */
export const welcomes = (said: Array<Record<string, unknown>>): Talk => (socket) => {
  introduces(socket)
  let received = ""
  socket.on("data", (data) => {
    const lines = (received + String(data)).split("\r\n")
    received = lines.pop()!
    for (const line of lines) {
      if (line.startsWith("CONNECT ")) said.push(JSON.parse(line.slice("CONNECT ".length)))
      if (line === "PING") socket.write("PONG\r\n")
    }
  })
}

const listen = async (talk: Talk) => {
  const sockets = new Set<Socket>()
  let taken = 0
  const server = createServer((socket) => {
    taken++
    sockets.add(socket)
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket)).resume()
    talk(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(0, "127.0.0.1", resolve)
  })
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const listener: Listener = { port, url: `nats://127.0.0.1:${port}`, taken: () => taken, open: () => sockets.size }
  const end = () => {
    server.close()
    sockets.forEach((socket) => socket.destroy())
  }
  return { listener, end }
}

/** Listens for as long as the scope is open. */
export const startListener = (talk: Talk = silent) =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => listen(talk)), ({ end }) => Effect.sync(end)),
    ({ listener }) => listener
  )
