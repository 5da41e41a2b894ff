/** A TCP server in place of a NATS server: it counts connections, and talks to each by a function of the test. */
import * as Effect from "effect/Effect"
import { createServer, type Socket } from "node:net"

interface Listener {
  readonly port: number
  readonly url: string
  /** Number of connections accepted so far. */
  readonly taken: () => number
  /** Number of open connections. */
  readonly open: () => number
}

type Talk = (socket: Socket) => void

export const silent: Talk = () => undefined

const info = { server_id: "x", version: "2.10.0", proto: 1, headers: true, max_payload: 1024, nonce: "a nonce to sign" }

/** Sends INFO, and nothing else. */
export const introduces: Talk = (socket) => {
  socket.write(`INFO ${JSON.stringify(info)}\r\n`)
}

/** Refuses every login. */
export const refuses: Talk = (socket) => {
  introduces(socket)
  socket.on("data", () => socket.end("-ERR 'Authorization Violation'\r\n"))
}

export const nonce = info.nonce

/** Accepts every client, as a server without accounts does, and records the CONNECT messages. */
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

/** Listens until the scope closes. */
export const startListener = (talk: Talk = silent) =>
  Effect.map(
    Effect.acquireRelease(Effect.promise(() => listen(talk)), ({ end }) => Effect.sync(end)),
    ({ listener }) => listener
  )
