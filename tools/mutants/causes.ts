/** Bugs that hide or confuse the cause of an error: the connection, JetStream, full storage. No simulated fault shows them. */
import { byTest, type Mutant } from "./models.ts"

const outage = "src/internal/nats/outage.ts"
const attempts = "src/internal/nats/client/attempts.ts"
const portOver = "src/internal/nats/client/portOver.ts"
const reasons = "src/internal/nats/jetstream/reasons.ts"

const onPort = (name: string) => ({ file: "test/internal/nats/client/portOver.test.ts", name })
const onOutage = (name: string) => ({ file: "test/internal/nats/outage.test.ts", name })
const onReasons = (name: string) => ({ file: "test/internal/nats/jetstream/reasons.test.ts", name })

export const causes: ReadonlyArray<Mutant> = [
  {
    name: "a server without JetStream is refused at opening although its cluster has JetStream",
    from: "K12: other servers of the cluster can be starting",
    file: reasons,
    find: `failure._tag === "NoResponders" && !isForeign && !jetstream && cluster === undefined`,
    replace: `failure._tag === "NoResponders" && !isForeign && !jetstream && cluster !== ""`,
    ...byTest,
    test: onReasons("at opening has no JetStream, if its INFO says so and no other server can answer for it")
  },
  {
    name: "a server with JetStream that does not answer is refused at opening",
    from: "K12",
    file: reasons,
    find: `failure._tag === "NoResponders" && !isForeign && !jetstream && cluster === undefined`,
    replace: `failure._tag === "NoResponders" && !isForeign && cluster === undefined && jetstream !== undefined`,
    ...byTest,
    test: onReasons("at opening has no JetStream, if its INFO says so and no other server can answer for it")
  },
  {
    name: "a full disk is reported as a full bucket",
    from: "nats-server 2.10.27 has the code 10077 for both, K38",
    file: reasons,
    find: `return isFull ? "bucket" : "server"`,
    replace: `return isFull ? "bucket" : "bucket"`,
    ...byTest,
    test: onReasons("is the bucket's if the value does not fit below its limits, and otherwise the server's")
  },
  {
    name: "a maxBytes beyond the account's limit is reported as a full server",
    from: "nats-server has the codes 10028 and 10047 for both, K38",
    file: reasons,
    find: `return limit >= 0 && reserved + asked > limit ? "account" : "server"`,
    replace: `return limit >= 0 && reserved + asked < 0 ? "account" : "server"`,
    ...byTest,
    test: onReasons("of a new bucket is the account's if maxBytes exceeds the space left within the account's limit")
  },
  {
    name: "an operation without a connection does not name the cause",
    from: "K11",
    file: reasons,
    find: "problem: outage === undefined ? \"not connected\" : `not connected; ${outage.problem}`,",
    replace: `problem: "not connected",`,
    ...byTest,
    test: onReasons("has the known causes, and the last error")
  },
  {
    name: "the timeout of the client hides the words of the server",
    from: "the clients wait for their timeout after `maximum connections exceeded`, K11",
    file: attempts,
    find: "if (lastError !== undefined && lastError !== before) return lastError",
    replace: "if (lastError !== undefined && lastError === before) return lastError",
    ...byTest,
    test: onPort(
      "is the text of the server in the last attempt, else its reason to end the connection, else the client's error"
    )
  },
  {
    name: "the timeout of the client hides the TLS alert of the server",
    from: "in TLS 1.3 the refusal of a client certificate arrives after the handshake, K11",
    file: attempts,
    find: "return transport?.closeError ?? error",
    replace: "return error ?? transport",
    ...byTest,
    test: onPort(
      "is the text of the server in the last attempt, else its reason to end the connection, else the client's error"
    )
  },
  {
    name: "the failures of an earlier outage are reported in a later one",
    from: "K11",
    file: portOver,
    find: `if (event._tag === "Connected") failures.connect(lastError)`,
    replace: "",
    ...byTest,
    test: onPort("is undefined again after a new connection, and without the method of the client")
  },
  {
    name: "credentials that expire during a new login are forgotten",
    from: "nats-server accepts credentials in their last second, and the client then reports that it has reconnected",
    file: portOver,
    find:
      `if (event?._tag === "Reconnecting" || (event?._tag === "Disconnected" && state === "up")) lastError = undefined`,
    replace: `if (event?._tag === "Connected" || event?._tag === "Disconnected") lastError = undefined`,
    ...byTest,
    test: onPort("is disconnected with an error that the server sent during a new login, before the client reported it")
  },
  {
    name: "an expired client certificate is not recognised with another version of OpenSSL",
    from: "the alert is ERR_SSL_SSLV3_ALERT_... with OpenSSL 3.0, and ERR_SSL_SSL/TLS_ALERT_... with 3.5",
    file: outage,
    find: String.raw`/^ERR_SSL_.*_ALERT_(\w+)$/`,
    replace: String.raw`/^ERR_SSL_\w*_ALERT_(\w+)$/`,
    ...byTest,
    test: onOutage(
      "with the code ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED is ClientCertificate, also under an error of a client"
    )
  },
  {
    name: "a connection that ends without an error hides the refused certificate",
    from: "the alert of a server is lost in some attempts, K11",
    file: outage,
    find:
      `(now._tag === "Reset" && !isSilent(before)) || (now._tag === "LoginRefused" && before._tag === "LoginExpired")`,
    replace: `now._tag === "LoginRefused" && before._tag === "LoginExpired"`,
    ...byTest,
    test: onOutage(
      "keeps a cause when the next one is vaguer: the end of a connection, or refused credentials that had expired"
    )
  }
]
