/** Why a connection is down: causes by codes and classes, and one text for all failures. */
import { assert, describe, it } from "@effect/vitest"
import { errors } from "@nats-io/transport-node"
import { ErrorCode, NatsError } from "nats"
import * as legacy from "../../../src/internal/nats/client/legacy.ts"
import * as natsIo from "../../../src/internal/nats/client/natsIo.ts"
import { causeOf, Failures, type LinkCause, problemOf } from "../../../src/internal/nats/outage.ts"

const withCode = (code: string, message = "of the system") => Object.assign(new Error(message), { code })

const ofSystem = (error: unknown) => causeOf(error, () => undefined)

describe("a cause", () => {
  const cases: ReadonlyArray<readonly [code: string, tag: LinkCause["_tag"], words: ReadonlyArray<string>]> = [
    ["CERT_HAS_EXPIRED", "ServerCertificate", ["the server's certificate has expired", "renew it"]],
    ["CERT_NOT_YET_VALID", "ServerCertificate", ["not valid yet", "clock of this host"]],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "ServerCertificate", ["cannot be verified", "tls.ca"]],
    ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", "ClientCertificate", ["client certificate has expired", "renew it"]],
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "ClientCertificate", ["client certificate has expired", "renew it"]],
    ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "ClientCertificate", ["requires a client certificate", "tls.cert"]],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "ClientCertificate", ["refuses the client certificate"]],
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "Handshake", ["the TLS handshake failed"]],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "Handshake", ["without TLS", "max_connections"]],
    ["ECONNRESET", "Reset", ["ended the connection"]],
    ["EPIPE", "Reset", ["ended the connection"]],
    ["ECONNREFUSED", "Unreachable", ["connection refused"]],
    ["ENOTFOUND", "Unreachable", ["of the system"]]
  ]
  for (const [code, tag, words] of cases) {
    it(`with the code ${code} is ${tag}, also under an error of a client`, () => {
      const error = withCode(code)
      const wrapped = [
        error,
        new errors.ConnectionError("of the client", { cause: error }),
        Object.assign(new Error("of the client"), { code: "CONNECTION_REFUSED", chainedError: error })
      ]
      for (const one of wrapped) assert.strictEqual(ofSystem(one)._tag, tag)
      for (const word of words) assert.include(problemOf(ofSystem(error)), word)
    })
  }

  it("of a client is known by its class or its code", () => {
    const pairs: ReadonlyArray<readonly [Error, string, LinkCause["_tag"], string]> = [
      [new errors.AuthorizationError("Authorization Violation"), "AUTHORIZATION_VIOLATION", "LoginRefused", "login"],
      [new errors.AuthorizationError("Authentication Timeout"), "AUTHENTICATION_TIMEOUT", "LoginRefused", "login"],
      [new errors.AuthorizationError("Account Expired"), "ACCOUNT_EXPIRED", "LoginRefused", "login"],
      [new errors.UserAuthenticationExpiredError("expired"), "AUTHENTICATION_EXPIRED", "LoginExpired", "renew them"],
      [new errors.ProtocolError("Secure Connection Required"), "NATS_PROTOCOL_ERR", "ServerRefuses", "refuses"],
      [new errors.TimeoutError(), "TIMEOUT", "NoAnswer", "no answer"]
    ]
    for (const [error, code, tag, word] of pairs) {
      const both = [natsIo.linkCauseOf(error), legacy.linkCauseOf(Object.assign(new Error("'as said'"), { code }))]
      for (const cause of both) {
        assert.strictEqual(cause?._tag, tag)
        assert.include(problemOf(cause!), word)
      }
    }
    assert.propertyVal(
      legacy.linkCauseOf(Object.assign(new Error("'as said'"), { code: "ACCOUNT_EXPIRED" })),
      "said",
      "as said"
    )
    assert.propertyVal(legacy.linkCauseOf("AUTHENTICATION_EXPIRED"), "said", "AUTHENTICATION_EXPIRED")
    for (const unknown of [withCode("ECONNREFUSED"), undefined, 7]) {
      assert.isUndefined(natsIo.linkCauseOf(unknown))
      assert.isUndefined(legacy.linkCauseOf(unknown))
    }
  })

  it("of a connection that a server ended without an error is an end, not a refusal of the system", () => {
    const unnamed = "node provided an undefined error"
    const ofLegacy = NatsError.errorForCode(ErrorCode.ConnectionRefused, new Error(`${unnamed}!`))
    const ofCurrent = new errors.ConnectionError(`error connecting - ${unnamed}`)
    for (const cause of [legacy.linkCauseOf(ofLegacy), natsIo.linkCauseOf(ofCurrent)]) {
      assert.deepStrictEqual(cause, { _tag: "Reset", said: "without an error" })
      assert.include(problemOf(cause!), "max_connections")
    }
    assert.isUndefined(
      legacy.linkCauseOf(NatsError.errorForCode(ErrorCode.ConnectionRefused, withCode("ECONNREFUSED")))
    )
    assert.isUndefined(natsIo.linkCauseOf(new errors.ConnectionError("connection refused")))
  })

  it("of a server at max_connections has a remedy, and other refusals keep the words of the server", () => {
    const problem = (said: string) => problemOf({ _tag: "ServerRefuses", said })
    assert.include(problem("maximum connections exceeded"), "raise its max_connections")
    assert.include(problem("Maximum Connections Exceeded"), "raise its max_connections")
    assert.strictEqual(problem("lame duck"), "the server refuses the connection (lame duck)")
  })
})

describe("an outage", () => {
  const refused: LinkCause = { _tag: "LoginRefused", said: "Authorization Violation" }
  const expired: LinkCause = { _tag: "LoginExpired", said: "User Authentication Expired" }
  const down: LinkCause = { _tag: "Unreachable", code: "ECONNREFUSED", said: "connection refused" }
  const reset: LinkCause = { _tag: "Reset", said: "read ECONNRESET" }
  const failure = (cause: LinkCause, error: unknown = cause._tag) => ({ cause, error })

  it("is unknown before the first failure, and after a new connection", () => {
    const failures = new Failures()
    assert.isUndefined(failures.outage)
    failures.fail("a:1", failure(down))
    failures.clear()
    assert.isUndefined(failures.outage)
    failures.lose(undefined)
    assert.isUndefined(failures.outage)
  })

  it("names each server with its last failure, and has the last error as cause", () => {
    const failures = new Failures()
    failures.fail("a:1", failure(down))
    failures.fail("b:1", failure(down))
    failures.fail("a:1", failure(refused, "last"))
    assert.deepStrictEqual(failures.outage, {
      problem: `b:1: connection refused; a:1: ${problemOf(refused)}`,
      cause: "last"
    })
  })

  it("names the servers of the last three failures, and counts the others", () => {
    const failures = new Failures()
    for (const server of ["a", "b", "c", "d", "e"]) failures.fail(server, failure(down))
    assert.strictEqual(
      failures.outage?.problem,
      "c: connection refused; d: connection refused; e: connection refused; 2 more servers failed"
    )
  })

  it("keeps a cause when the next one is vaguer: the end of a connection, or refused credentials that had expired", () => {
    const failures = new Failures()
    failures.fail("a:1", failure(refused))
    failures.fail("a:1", failure(reset, "reset"))
    assert.deepStrictEqual(failures.outage, { problem: `a:1: ${problemOf(refused)}`, cause: "reset" })
    failures.fail("a:1", failure(down))
    assert.strictEqual(failures.outage?.problem, "a:1: connection refused")
    // A server that has ended a connection is not down any more.
    failures.fail("a:1", failure(reset))
    assert.strictEqual(failures.outage?.problem, `a:1: ${problemOf(reset)}`)
    failures.fail("a:1", failure(expired))
    failures.fail("a:1", failure(refused))
    assert.strictEqual(failures.outage?.problem, `a:1: ${problemOf(expired)}`)
    failures.fail("a:1", failure(down))
    failures.fail("a:1", failure(refused))
    assert.strictEqual(failures.outage?.problem, `a:1: ${problemOf(refused)}`)
  })

  it("has the loss of the connection until an attempt has failed, and expired credentials also after it", () => {
    const failures = new Failures()
    failures.lose(failure(reset))
    assert.strictEqual(failures.outage?.problem, problemOf(reset))
    failures.fail("a:1", failure(down))
    assert.strictEqual(failures.outage?.problem, "a:1: connection refused")
    failures.lose(failure(expired))
    failures.fail("a:1", failure(refused))
    assert.strictEqual(failures.outage?.problem, `${problemOf(expired)}; a:1: ${problemOf(refused)}`)
    failures.fail("a:1", failure(expired))
    assert.strictEqual(failures.outage?.problem, `a:1: ${problemOf(expired)}`)
  })
})
