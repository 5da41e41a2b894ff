/** The driver's port over the two NATS clients: events for their status events, and headers of messages. */
import { assert, describe, it } from "@effect/vitest"
import { errors, headers as makeHeaders } from "@nats-io/transport-node"
import * as legacy from "../../../../src/internal/nats/client/legacy.ts"
import * as natsIo from "../../../../src/internal/nats/client/natsIo.ts"
import type { LinkEvent, NatsPort } from "../../../../src/internal/nats/port.ts"
import { bytes, untyped } from "../../../../tools/values.ts"

/** A connection with status events that the test sends. */
const makeConnection = () => {
  const waiting: Array<(result: IteratorResult<unknown>) => void> = []
  const statuses: Array<unknown> = []
  let close = (_reason?: Error) => {}
  const closed = new Promise<Error | undefined>((resolve) => {
    close = resolve
  })
  const next = () =>
    new Promise<IteratorResult<unknown>>((resume) => {
      if (statuses.length > 0) resume({ done: false, value: statuses.shift() })
      else waiting.push(resume)
    })
  const connection = {
    isClosed: () => false,
    status: () => ({ [Symbol.asyncIterator]: () => ({ next }) }),
    closed: () => closed
  }
  const report = (...all: ReadonlyArray<unknown>) => {
    for (const status of all) {
      const resume = waiting.shift()
      if (resume === undefined) statuses.push(status)
      else resume({ done: false, value: status })
    }
  }
  return { connection, report, close: (reason?: Error) => close(reason) }
}

/** The events of a port after the test has acted on its connection. */
const eventsOf = async (
  make: (connection: never) => NatsPort,
  act: (connection: ReturnType<typeof makeConnection>) => void
): Promise<ReadonlyArray<LinkEvent>> => {
  const made = makeConnection()
  const events: Array<LinkEvent> = []
  make(untyped(made.connection)).onLink((event) => events.push(event))
  act(made)
  await new Promise((resume) => setImmediate(resume))
  return events
}

describe("a message", () => {
  it("has the last value of each header, which the server has appended", () => {
    const headers = makeHeaders()
    headers.append("Nats-Sequence", "3")
    headers.append("Nats-Sequence", "40")
    const { connection } = makeConnection()
    const values: Array<string> = []
    const subscribe = (_subject: string, { callback }: { callback: (error: null, message: unknown) => void }) =>
      callback(null, { subject: "a", headers, data: new Uint8Array(0) })
    const port = natsIo.make(untyped({ ...connection, subscribe }))
    port.subscribe("a", ({ header }) => values.push(header("Nats-Sequence"), header("Nats-Stream")))
    assert.deepStrictEqual(values, ["40", ""])
  })

  it("has its headers although the client refuses to read them, which would end the connection", () => {
    const subject = "\ufffd"
    const block = bytes("NATS/1.0 404 none\r\nBad Name: 1\r\nA: 2\r\n\r\n")
    const received = new Uint8Array([...bytes("before"), ...block, 7, 8])
    const message = {
      subject,
      reply: "r",
      data: received.subarray(received.length - 2),
      get headers(): never {
        throw new Error("invalid character")
      },
      _rdata: received.subarray(received.length - block.length - 2)
    }
    const { connection } = makeConnection()
    const subscribe = (_subject: string, { callback }: { callback: (error: null, message: unknown) => void }) =>
      callback(null, message)
    const seen: Array<unknown> = []
    natsIo.make(untyped({ ...connection, subscribe })).subscribe("a", ({ data, description, header, status }) => {
      seen.push(status, description, header("Bad Name"), header("A"), [...data])
    })
    assert.deepStrictEqual(seen, [404, "none", "1", "2", [7, 8]])
  })
})

describe("a connection of @nats-io", () => {
  const error = new errors.ProtocolError("stale connection")

  it("is disconnected with the error that the server sent before, but only once", async () => {
    const events = await eventsOf(natsIo.make, ({ report }) => {
      report({ type: "error", error }, { type: "disconnect" }, { type: "reconnect" }, { type: "disconnect" })
    })
    assert.deepStrictEqual(events, [
      { _tag: "Disconnected", cause: error },
      { _tag: "Connected" },
      { _tag: "Disconnected" }
    ])
  })

  it("is disconnected with an error that the server sent during a new login, before the client reported it", async () => {
    const expired = new errors.UserAuthenticationExpiredError("User Authentication Expired")
    const events = await eventsOf(natsIo.make, ({ report }) => {
      report({ type: "error", error }, { type: "reconnecting" }, { type: "reconnect" }, { type: "disconnect" })
      report({ type: "reconnecting" }, { type: "error", error: expired }, { type: "reconnect" }, { type: "disconnect" })
    })
    assert.deepStrictEqual(events.filter(({ _tag }) => _tag === "Disconnected"), [
      { _tag: "Disconnected" },
      { _tag: "Disconnected", cause: expired }
    ])
  })

  it("is denied a subject with the server's error, which is not the cause of a later disconnect", async () => {
    const denied = new errors.PermissionViolationError("denied", "publish", "a", undefined)
    const events = await eventsOf(natsIo.make, ({ report }) => {
      report({ type: "error", error: denied }, { type: "disconnect" })
    })
    assert.deepStrictEqual(events, [
      { _tag: "Denied", operation: "publish", subject: "a", cause: denied },
      { _tag: "Disconnected" }
    ])
  })

  it("is closed with the error that closed it, if any", async () => {
    assert.deepStrictEqual(await eventsOf(natsIo.make, ({ close }) => close(error)), [{ _tag: "Closed", cause: error }])
    assert.deepStrictEqual(await eventsOf(natsIo.make, ({ close }) => close()), [{ _tag: "Closed" }])
  })
})

/** A connection whose client fails to reconnect. */
const makeDialing = () => {
  const made = makeConnection()
  const protocol: { lastError?: unknown; transport?: unknown; _doDial: (server: unknown) => Promise<void> } = {
    _doDial: () => Promise.reject(new Error("of the client"))
  }
  const fails = async (during: () => void = () => {}) => {
    const dial = protocol._doDial("a:1")
    during()
    await dial.then(() => assert.fail("the attempt has succeeded"), () => {})
  }
  return { ...made, protocol, fails, connection: { ...made.connection, protocol } }
}

describe("the outage of a connection", () => {
  it("is the text of the server in the last attempt, else its reason to end the connection, else the client's error", async () => {
    const { connection, fails, protocol } = makeDialing()
    const port = natsIo.make(untyped(connection))
    assert.isUndefined(port.outage())
    protocol.lastError = new errors.ProtocolError("of an earlier connection")
    await fails()
    assert.deepInclude(port.outage(), { problem: "a:1: of the client" })
    const ended = Object.assign(new Error("alert"), { code: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" })
    protocol.transport = { closeError: ended }
    await fails()
    assert.include(port.outage()?.problem, "requires a client certificate")
    assert.strictEqual(port.outage()?.cause, ended)
    const said = new errors.AuthorizationError("Authorization Violation")
    await fails(() => {
      protocol.lastError = said
    })
    assert.include(port.outage()?.problem, "the server refuses the login (Authorization Violation)")
    assert.strictEqual(port.outage()?.cause, said)
  })

  it("is undefined again after a new connection, and without the method of the client", async () => {
    const { connection, fails, report } = makeDialing()
    const port = natsIo.make(untyped(connection))
    report({ type: "disconnect" })
    await fails()
    assert.isDefined(port.outage())
    report({ type: "reconnect" })
    await new Promise((resume) => setImmediate(resume))
    assert.isUndefined(port.outage())
    assert.isUndefined(natsIo.make(untyped(makeConnection().connection)).outage())
  })

  it("is an error that the server sent during the login, in any order of the client's events", async () => {
    const error = new errors.UserAuthenticationExpiredError("User Authentication Expired")
    const orders = [
      [{ type: "error", error }, { type: "reconnect" }],
      [{ type: "error", error }, { type: "disconnect" }, { type: "reconnect" }]
    ]
    for (const order of orders) {
      const { connection, report } = makeDialing()
      const port = natsIo.make(untyped(connection))
      report({ type: "disconnect" }, { type: "reconnecting" }, ...order)
      await new Promise((resume) => setImmediate(resume))
      assert.include(port.outage()?.problem, "the credentials have expired")
    }
  })

  it("is known to each port of a connection until the port is released", async () => {
    const { connection, fails } = makeDialing()
    const [released, kept] = [natsIo.make(untyped(connection)), natsIo.make(untyped(connection))]
    released.release()
    await fails()
    assert.isUndefined(released.outage())
    assert.include(kept.outage()?.problem, "a:1")
  })

  it("of a closed connection is the error that closed it", async () => {
    const { close, connection } = makeDialing()
    const port = natsIo.make(untyped(connection))
    close(new errors.AuthorizationError("Authorization Violation"))
    await new Promise((resume) => setImmediate(resume))
    assert.include(port.outage()?.problem, "the server refuses the login")
  })
})

describe("the connected server", () => {
  it("has JetStream only if its INFO says so, and the name of its cluster", () => {
    const info = { version: "2.15.1", max_payload: 1024 }
    const serverOf = (more: object) =>
      natsIo.make(untyped({ ...makeConnection().connection, info: { ...info, ...more } })).server()
    const server = { version: "2.15.1", maxPayload: 1024, address: undefined }
    assert.deepStrictEqual(serverOf({}), { ...server, jetstream: false, cluster: undefined })
    assert.deepStrictEqual(serverOf({ jetstream: true, cluster: "lab" }), {
      ...server,
      jetstream: true,
      cluster: "lab"
    })
  })
})

describe("a connection of the package nats", () => {
  it("is disconnected with the code of the error that the server sent before", async () => {
    const events = await eventsOf(legacy.make, ({ report }) => {
      report({ type: "error", data: "STALE_CONNECTION" }, { type: "disconnect" }, { type: "reconnect" })
    })
    assert.deepStrictEqual(events, [{ _tag: "Disconnected", cause: "STALE_CONNECTION" }, { _tag: "Connected" }])
  })

  it("is denied a subject with the refused operation and subject as the cause", async () => {
    const permissionContext = { operation: "subscription", subject: "b" }
    const events = await eventsOf(legacy.make, ({ report }) => {
      report({ type: "error", data: "PERMISSIONS_VIOLATION", permissionContext })
    })
    assert.deepStrictEqual(events, [
      { _tag: "Denied", operation: "subscription", subject: "b", cause: permissionContext }
    ])
  })
})
