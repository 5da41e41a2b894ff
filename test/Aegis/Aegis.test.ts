import { assert, describe, it } from "@effect/vitest"
import { Aegis, Buckets, Election, KVStore, Registry } from "effect-aegis"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"

import { eventually } from "../../tools/eventually.ts"
import { untyped } from "../../tools/values.ts"
import { client } from "../support/certificates.ts"
import { temporaryFile } from "../support/files.ts"
import { putLegacy } from "../support/legacyRecord.ts"
import { startListener, welcomes } from "../support/listener.ts"
import { makeOperator, makeUser } from "../support/operator.ts"
import { allShown } from "../support/shown.ts"
import { logged, reasonOf } from "../support/suite.ts"

/** A port without a listener: a connection attempt takes longer than the refusal of an option. */
const nowhere = "nats://127.0.0.1:1"

const withConfig = (variables: unknown, config?: Config.Wrap<Aegis.ConfigOptions>) =>
  Layer.provide(Aegis.layerConfig(config), ConfigProvider.layer(ConfigProvider.fromUnknown(variables)))

const registersAndLeads = Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const election = yield* Election.Election
  yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
  const leadership = yield* election.campaign("job", { candidateId: "orders-1" })
  const alive = yield* registry.list("orders")
  const leader = yield* election.leader("job")
  assert.deepStrictEqual(alive.map((instance): string => instance.instanceId), ["orders-1"])
  assert.deepStrictEqual(Option.map(leader, (record) => record.token), Option.some(leadership.token))
})

describe("Aegis, in memory", () => {
  it.effect("layerMemory provides a registry and elections", () =>
    registersAndLeads.pipe(Effect.scoped, Effect.provide(Aegis.layerMemory())))

  it.effect("layerMemory has separate buckets: after an hour an instance is removed and a leader is still valid", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      yield* registry.heartbeat({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
      const leadership = yield* election.campaign("job")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* registry.list("orders", { includeExpired: true })).length, 0)
      assert.isTrue(yield* leadership.isValid)
    }).pipe(Effect.scoped, Effect.provide(Aegis.layerMemory())))

  it.effect("layerConfig uses memory for AEGIS_BACKEND=memory, and logs it", () =>
    Effect.gen(function*() {
      const said: Array<string> = []
      const logger = Logger.make((entry) => {
        said.push(String(entry.message))
      })
      yield* registersAndLeads.pipe(
        Effect.scoped,
        Effect.provide(Layer.provideMerge(withConfig({ AEGIS_BACKEND: "memory" }), Logger.layer([logger])))
      )
      assert.isTrue(said.some((line) => line.includes("the backend is memory")), said.join("\n"))
    }))

  it.effect("layerMemory passes options on: an instance expires after the given maxAge", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      yield* registry.heartbeat({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* registry.list("orders")).length, 1)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual((yield* registry.list("orders")).length, 0)
    }).pipe(Effect.provide(Aegis.layerMemory({ registry: { maxAge: "2 minutes" } }))))
})

describe("Aegis, memory is never a fallback", () => {
  for (
    const [what, variables] of [
      ["nothing is set", {}],
      ["the URL is empty", { AEGIS_NATS_URL: "" }],
      ["the URL is a space", { AEGIS_NATS_URL: " " }],
      ["AEGIS_BACKEND is nats", { AEGIS_BACKEND: "nats" }],
      ["AEGIS_REPLICAS is set", { AEGIS_REPLICAS: "3" }],
      ["AEGIS_NATS_CREDS is set", { AEGIS_NATS_CREDS: "/run/orders.creds" }],
      ["AEGIS_NATS_USER is set", { AEGIS_NATS_USER: "orders" }],
      ["AEGIS_NATS_TOKEN is set", { AEGIS_NATS_TOKEN: "tell-nobody-7" }],
      ["AEGIS_NATS_PASSWORD is set", { AEGIS_NATS_PASSWORD: "tell-nobody-7" }],
      ["AEGIS_NATS_NKEY is set", { AEGIS_NATS_NKEY: "tell-nobody-7" }],
      ["AEGIS_NATS_CA is set", { AEGIS_NATS_CA: "/run/ca.pem" }]
    ] as const
  ) {
    it.effect(`layerConfig fails without a URL if ${what}, and names AEGIS_NATS_URL and AEGIS_BACKEND=memory`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(variables))))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, "nats://host:port")
        assert.include(error.message, "AEGIS_BACKEND=memory")
        assert.include(error.message, "AEGIS_NATS_URL")
        assert.notInclude(allShown(error), "tell-nobody-7")
      }))
  }

  for (
    const [name, value] of [
      ["AEGIS_BACKEND", "Memory"],
      ["AEGIS_BACKEND", "redis"],
      ["AEGIS_REPLICAS", "many"],
      ["AEGIS_REPLICAS", "9"],
      ["AEGIS_REPLICAS", "1.5"],
      ["AEGIS_REPLICAS", "0"]
    ] as const
  ) {
    it.effect(`${name}=${value} fails with a ConfigError that names the variable`, () =>
      Effect.gen(function*() {
        const variables = { AEGIS_NATS_URL: "nats://127.0.0.1:1", [name]: value }
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(variables))))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, name)
      }))
  }
})

describe("Aegis, values of variables that are refused", () => {
  const memory = { AEGIS_BACKEND: "memory" }
  const nats = { AEGIS_NATS_URL: "nats://127.0.0.1:1" }
  const cases: ReadonlyArray<readonly [variables: Record<string, string>, problem: string]> = [
    [{ ...memory, AEGIS_MAX_AGE: "1 milli" }, "maxAge (AEGIS_MAX_AGE): expected at least 20s"],
    [{ ...memory, AEGIS_HEARTBEAT: "-1 seconds" }, "heartbeat (AEGIS_HEARTBEAT): expected"],
    [{ ...memory, AEGIS_LEAVE_TIMEOUT: "2 hours" }, "leaveTimeout (AEGIS_LEAVE_TIMEOUT): expected"],
    [{ ...memory, AEGIS_REGISTRY_BUCKET: "a b" }, "registry.bucket (AEGIS_REGISTRY_BUCKET): expected"],
    [{ ...memory, AEGIS_ELECTION_BUCKET: "a b" }, "election.bucket (AEGIS_ELECTION_BUCKET): expected"],
    [
      { ...memory, AEGIS_REGISTRY_BUCKET: "x", AEGIS_ELECTION_BUCKET: "x" },
      "registry.bucket (AEGIS_REGISTRY_BUCKET) and election.bucket (AEGIS_ELECTION_BUCKET): expected two buckets"
    ],
    [{ AEGIS_NATS_URL: "http://a" }, "servers (AEGIS_NATS_URL): expected nats://host:port"],
    [{ AEGIS_NATS_URL: "," }, "servers (AEGIS_NATS_URL): expected nats://host:port, got \",\""],
    [{ ...nats, AEGIS_NATS_USER: "u" }, "password (AEGIS_NATS_PASSWORD): expected a password together with user"],
    [{ ...nats, AEGIS_NATS_INBOX_PREFIX: "a b" }, "inboxPrefix (AEGIS_NATS_INBOX_PREFIX): expected"],
    [{ ...nats, AEGIS_NATS_CA: "/nowhere.pem" }, "tls.caFile (AEGIS_NATS_CA): cannot read"]
  ]
  for (const [variables, problem] of cases) {
    it.effect(`${problem.replace(/:.*/, "")} is named with its variable: ${Object.values(variables).at(-1)!}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(variables))))
        assert.include(error.message, problem)
      }))
  }

  it.effect("an option that is given is named without its variable", () =>
    Effect.gen(function*() {
      const ofRegistry = withConfig(memory, { registry: Config.succeed({ maxAge: "1 second" } as const) })
      const ofClient = withConfig({}, { nats: Config.succeed({ servers: "http://a" }) })
      const ofTls = withConfig({}, {
        nats: { servers: Config.succeed("a"), tls: { caFile: Config.succeed("/nowhere") } }
      })
      for (
        const [layer, problem] of [
          [ofRegistry, "maxAge: expected"],
          [ofClient, "servers: expected"],
          [ofTls, "tls.caFile: cannot read"]
        ] as const
      ) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.include(error.message, `: ${problem}`)
        assert.notInclude(error.message, "AEGIS_")
      }
    }))

  it.effect("spaces and a comma at the end of a URL are no other server", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(withConfig({ AEGIS_NATS_URL: " nats://127.0.0.1:1, " })))
      )
      assert.include(error.message, "(127.0.0.1:1: connection refused)")
    }))
})

/** What a program learns about its services: ages and timings by what happens in virtual time. */
const isListedAfter = (duration: Duration.Input) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    yield* registry.heartbeat({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
    yield* TestClock.adjust(duration)
    return (yield* registry.list("orders")).length === 1
  })

const warningsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const { layer, lines } = logged()
    return Effect.map(Effect.provide(effect, layer), () => lines.filter((line) => line.startsWith("Warn")))
  })

describe("Aegis, by variables", () => {
  it.effect("AEGIS_MAX_AGE sets the age at which an instance expires", () =>
    Effect.gen(function*() {
      const memory = { AEGIS_BACKEND: "memory", AEGIS_MAX_AGE: "2 minutes" }
      assert.isTrue(yield* Effect.provide(isListedAfter("119 seconds"), withConfig(memory)))
      assert.isFalse(yield* Effect.provide(isListedAfter("121 seconds"), withConfig(memory)))
    }))

  it.effect("AEGIS_HEARTBEAT sets the time between heartbeats", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Layer.build(withConfig({ AEGIS_BACKEND: "memory", AEGIS_HEARTBEAT: "20 seconds" }))
      )
      assert.match(
        error.message,
        /heartbeat \(AEGIS_HEARTBEAT\): expected at most 15s, half of maxAge \(30s\), got 20s/
      )
    }))

  it.effect("AEGIS_READ_LEGACY_KEYS makes the registry read the records of AegisSDK, too", () =>
    Effect.gen(function*() {
      const listed = Effect.gen(function*() {
        const buckets = yield* Buckets.Buckets
        const store = yield* buckets.open({ bucket: "service_registry", create: false, onMismatch: "accept" })
        yield* putLegacy(store, "orders", "py")
        const registry = yield* Registry.Registry
        return (yield* registry.list("orders")).length
      }).pipe(Effect.scoped)
      const memory = { AEGIS_BACKEND: "memory" }
      const variables = { ...memory, AEGIS_READ_LEGACY_KEYS: "true" }
      assert.strictEqual(yield* Effect.provide(listed, withConfig(memory)), 0)
      assert.strictEqual(yield* Effect.provide(listed, withConfig(variables)), 1)
      const off = { registry: Config.succeed({ readLegacyKeys: false } as const) }
      assert.strictEqual(yield* Effect.provide(listed, withConfig(variables, off)), 0)
      assert.strictEqual(
        yield* Effect.provide(listed, Aegis.layerMemory({ registry: { readLegacyKeys: true } })),
        1
      )
    }))

  it.effect("AEGIS_TIMINGS sets the timings of elections", () =>
    Effect.gen(function*() {
      for (const [name, millis] of [["fast", 3000], ["balanced", 10_000], ["resilient", 20_000]] as const) {
        const lease = Effect.gen(function*() {
          const election = yield* Election.Election
          yield* election.campaign("job")
          const buckets = yield* Buckets.Buckets
          const store = yield* buckets.open({ bucket: "service_election" })
          return (yield* store.entries()).map(({ value }) => JSON.parse(new TextDecoder().decode(value)).leaseMillis)
        })
        const leases = yield* Effect.scoped(
          Effect.provide(lease, withConfig({ AEGIS_BACKEND: "memory", AEGIS_TIMINGS: name }))
        )
        assert.deepStrictEqual(leases, [millis])
      }
    }))

  it.effect("AEGIS_REGISTRY_BUCKET and AEGIS_ELECTION_BUCKET set the names of the buckets", () =>
    Effect.gen(function*() {
      const names = Effect.flatMap(Buckets.Buckets, ({ list }) => list())
      const variables = { AEGIS_BACKEND: "memory", AEGIS_REGISTRY_BUCKET: "ours", AEGIS_ELECTION_BUCKET: "leaders" }
      assert.deepStrictEqual(yield* Effect.provide(names, withConfig({ AEGIS_BACKEND: "memory" })), [
        "service_election",
        "service_registry"
      ])
      assert.deepStrictEqual(yield* Effect.provide(names, withConfig(variables)), ["leaders", "ours"])
    }))

  it.effect("an option in the code replaces each variable", () =>
    Effect.gen(function*() {
      const names = Effect.flatMap(Buckets.Buckets, ({ list }) => list())
      const variables = {
        AEGIS_BACKEND: "memory",
        AEGIS_REGISTRY_BUCKET: "ours",
        AEGIS_MAX_AGE: "1 second",
        AEGIS_TIMINGS: "fast"
      }
      const layer = withConfig(variables, {
        registry: { bucket: Config.succeed("mine"), maxAge: Config.succeed("1 minute" as const) },
        election: Config.succeed({ timings: Election.resilient })
      })
      assert.deepStrictEqual(yield* Effect.provide(names, layer), ["mine", "service_election"])
      assert.isTrue(yield* Effect.provide(isListedAfter("59 seconds"), layer))
    }))

  for (
    const [name, value] of [
      ["AEGIS_MAX_AGE", "soon"],
      ["AEGIS_HEARTBEAT", "x"],
      ["AEGIS_READ_LEGACY_KEYS", "perhaps"],
      ["AEGIS_TIMINGS", "slow"],
      ["AEGIS_ON_MISMATCH", "ignore"]
    ] as const
  ) {
    it.effect(`${name}=${value} fails with a ConfigError that names the variable`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Layer.build(withConfig({ AEGIS_BACKEND: "memory", [name]: value })))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, name)
      }))
  }

  it.effect("AEGIS_REGISTRY_BUCKET with a name that is not valid, or that of the other bucket, fails with InvalidConfig", () =>
    Effect.gen(function*() {
      for (const name of ["a.b", "service_election"]) {
        const error = yield* Effect.flip(
          Layer.build(withConfig({ AEGIS_BACKEND: "memory", AEGIS_REGISTRY_BUCKET: name }))
        )
        assert.include(error.message, "registry.bucket")
      }
    }))

  it.effect("an unknown variable AEGIS_* is a warning, in the environment and in another provider", () =>
    Effect.gen(function*() {
      const env = {
        AEGIS_BACKEND: "memory",
        AEGIS_NATS_ULR: "nats://x",
        AEGIS_MAXAGE: "1 second",
        HOME: "/",
        AEGISX: "1"
      }
      for (const provider of [ConfigProvider.fromEnv({ env }), ConfigProvider.fromUnknown(env)]) {
        const lines = yield* warningsOf(
          Effect.scoped(Layer.build(Layer.provide(Aegis.layerConfig(), ConfigProvider.layer(provider))))
        )
        assert.strictEqual(lines.length, 1, lines.join())
        assert.match(lines[0]!, /unknown variables are ignored: AEGIS_MAXAGE, AEGIS_NATS_ULR; known are AEGIS_BACKEND,/)
      }
      const known = ConfigProvider.fromEnv({ env: { AEGIS_BACKEND: "memory", AEGIS_MAX_AGE: "1 minute" } })
      const lines = yield* warningsOf(
        Effect.scoped(Layer.build(Layer.provide(Aegis.layerConfig(), ConfigProvider.layer(known))))
      )
      assert.deepStrictEqual(lines, [])
    }))
})

describe("Aegis, over Buckets", () => {
  const copies = (options: Partial<KVStore.BucketOptions> = {}) =>
    Effect.map(KVStore.make({ bucket: "orders", ...options }), ({ config }) => config.replicas)

  it.effect("a bucket of the program has the number of copies of the services, unless it sets its own", () =>
    Effect.gen(function*() {
      const lines = yield* warningsOf(
        Effect.gen(function*() {
          assert.strictEqual(yield* copies(), 3)
          assert.strictEqual(yield* copies({ bucket: "stock", replicas: 1 }), 1)
          // One that exists is used as it is, with a warning, unless its own options say otherwise.
          assert.strictEqual(yield* copies({ bucket: "stock" }), 1)
          assert.strictEqual(yield* copies({ bucket: "stock", onMismatch: "accept" }), 1)
          yield* reasonOf(copies({ bucket: "stock", replicas: 5 }), "ConfigMismatch")
          yield* reasonOf(copies({ bucket: "stock", historySize: 5 }), "ConfigMismatch")
          assert.strictEqual(yield* copies({ bucket: "stock", onMismatch: "update" }), 3)
          yield* reasonOf(KVStore.make(untyped(null)), "InvalidConfig")
        }).pipe(Effect.scoped, Effect.provide(Aegis.layerMemory({ replicas: 3 })))
      )
      assert.deepStrictEqual(lines, [
        "Warn the bucket \"stock\" differs from the options and is used as it is (replicas is 1, not 3): " +
        "set onMismatch: \"update\" to change it"
      ])
    }))

  it.effect("a bucket of the program is on the same backend as the services", () =>
    Effect.gen(function*() {
      class Orders extends KVStore.Service<Orders>()("test/Orders", { bucket: "orders" }) {}
      const program = Effect.gen(function*() {
        const orders = yield* Orders
        yield* orders.put("a", new Uint8Array(1))
        return yield* (yield* Buckets.Buckets).list()
      })
      const layer = Layer.provideMerge(Orders.layer, Aegis.layerMemory())
      assert.deepStrictEqual(yield* Effect.provide(program, layer), ["orders", "service_election", "service_registry"])
    }))
})

describe("Aegis, by configuration", () => {
  it.effect("an option in the code replaces only its own variable", () =>
    Effect.gen(function*() {
      const registry = yield* Registry.Registry
      yield* registry.heartbeat({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* registry.list("orders")).length, 1)
    }).pipe(Effect.provide(withConfig({ AEGIS_BACKEND: "memory", AEGIS_REPLICAS: "1" }, {
      registry: { maxAge: Config.succeed("2 minutes" as const) }
    }))))

  it.effect("a backend in the code overrides AEGIS_BACKEND", () =>
    registersAndLeads.pipe(
      Effect.scoped,
      Effect.provide(withConfig({ AEGIS_BACKEND: "nats" }, { backend: Config.succeed("memory" as const) }))
    ))

  it.live("a password in the code is used together with the URL and the user of the variables", () =>
    Effect.gen(function*() {
      const said: Array<Record<string, unknown>> = []
      const { url } = yield* startListener(welcomes(said))
      const layer = withConfig({ AEGIS_NATS_URL: url, AEGIS_NATS_USER: "u" }, {
        nats: { password: Config.succeed(Redacted.make("p")) }
      })
      const fiber = yield* Effect.forkScoped(Effect.exit(Layer.build(layer)))
      yield* eventually(false)(Effect.sync(() => said.length), (count) => count === 1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([said[0]!["user"], said[0]!["pass"]], ["u", "p"])
    }))

  it.live("each authentication method of the variables is sent to the server", () =>
    Effect.gen(function*() {
      const user = makeUser(makeOperator().account)
      const file = yield* temporaryFile(user.credentials)
      const logins = [
        [{ AEGIS_NATS_USER: "u", AEGIS_NATS_PASSWORD: "p" }, { user: "u", pass: "p" }],
        [{ AEGIS_NATS_TOKEN: "t" }, { auth_token: "t" }],
        [{ AEGIS_NATS_NKEY: user.seed }, { nkey: user.publicKey }],
        [{ AEGIS_NATS_CREDS: file }, { nkey: user.publicKey, jwt: user.jwt }]
      ] as const
      for (const [config, expected] of logins) {
        const said: Array<Record<string, unknown>> = []
        const { url } = yield* startListener(welcomes(said))
        // The listener is not a NATS server: the layer waits for its buckets until it is interrupted.
        const layer = withConfig({ AEGIS_NATS_URL: url, ...config })
        const fiber = yield* Effect.forkScoped(Effect.exit(Layer.build(layer)))
        yield* eventually(false)(Effect.sync(() => said.length), (count) => count === 1)
        yield* Fiber.interrupt(fiber)
        for (const [name, value] of Object.entries(expected)) assert.strictEqual(said[0]![name], value)
      }
    }))

  for (
    const [what, config, problem] of [
      [
        "an invalid URL",
        { AEGIS_NATS_URL: "not a url" },
        /servers \(AEGIS_NATS_URL\): expected nats:\/\/host:port, got "not a url"/
      ],
      [
        "two authentication methods",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_TOKEN: "t", AEGIS_NATS_CREDS: "a.creds" },
        /one way to log in, got token, credentialsFile/
      ],
      [
        "a user without a password",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_USER: "u" },
        /password \(AEGIS_NATS_PASSWORD\): expected/
      ],
      [
        "a certificate without a key",
        { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_CERT: client.cert.file },
        /key/
      ],
      ["a missing CA file", { AEGIS_NATS_URL: "nats://127.0.0.1:1", AEGIS_NATS_CA: "/none" }, /tls.caFile.*ENOENT/]
    ] as const
  ) {
    it.live(`layerConfig refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(withConfig(config))))
        assert.match(error.message, problem)
      }))
  }
})

describe("Aegis refuses invalid options with InvalidConfig", () => {
  const cases: ReadonlyArray<
    readonly [what: string, layer: () => Layer.Layer<Aegis.Services, unknown>, named: RegExp]
  > = [
    [
      "layerMemory: an invalid maxAge",
      () => Aegis.layerMemory({ registry: { maxAge: untyped("bananas") } }),
      /maxAge/
    ],
    [
      "layerNats: an invalid maxAge",
      () => Aegis.layerNats({ servers: nowhere, registry: { maxAge: untyped("bananas") } }),
      /maxAge/
    ],
    [
      "layerNats: invalid timings",
      () => Aegis.layerNats({ servers: nowhere, election: { timings: untyped("fast") } }),
      /timings/
    ],
    [
      "layerNats: an unknown option",
      () => Aegis.layerNats(untyped({ servers: nowhere, replica: 3 })),
      /replica/
    ],
    [
      "layerNats: an unknown option of the registry",
      () => Aegis.layerNats({ servers: nowhere, registry: untyped({ maxAges: 3 }) }),
      /maxAges/
    ],
    ["layerMemory: an unknown option", () => Aegis.layerMemory(untyped({ replica: 3 })), /replica/],
    ["layerMemory: replicas that are NaN", () => Aegis.layerMemory({ replicas: Number.NaN }), /replicas: .*NaN/],
    [
      "layerMemory: an unknown onMismatch",
      () => Aegis.layerMemory({ onMismatch: untyped("Fail") }),
      /onMismatch: .*"Fail"/
    ],
    ["layerMemory: null", () => Aegis.layerMemory(untyped(null)), /null/],
    ["layerMemory: a Map", () => Aegis.layerMemory(untyped(new Map([["replicas", 3]]))), /object of class Map/],
    [
      "layerMemory: a getter that throws",
      () =>
        Aegis.layerMemory({
          get replicas(): number {
            throw new Error("no replicas")
          }
        }),
      /no replicas/
    ],
    [
      "layerConfig: a connection that is a number",
      () => withConfig({}, { nats: untyped(Config.succeed(5)) }),
      /nats: .*5|nats: .*number/
    ],
    [
      "layerConfig: TLS that is a number",
      () => withConfig({ AEGIS_NATS_URL: nowhere }, { nats: { tls: untyped(Config.succeed(5)) } }),
      /nats\.tls: /
    ],
    [
      "layerConfig: an unknown option of the connection, also for memory",
      () => withConfig({ AEGIS_BACKEND: "memory" }, { nats: untyped(Config.succeed({ server: nowhere })) }),
      /nats\.server"/
    ],
    [
      "layerConfig: a nested option that is a plain value",
      () => withConfig({}, { registry: { maxAge: untyped("30 seconds") } }),
      /registry\.maxAge: .*Config/
    ],
    ["layerConfig: null", () => withConfig({}, untyped(null)), /config: .*null/],
    [
      "layerConfig: an option that is a plain value",
      () => withConfig({}, { replicas: untyped(3) }),
      /replicas: .*Config.*number/
    ],
    [
      "layerConfig: an option of the connection that is a plain value",
      () => withConfig({}, { nats: { servers: untyped(nowhere) } }),
      /servers: .*Config/
    ],
    [
      "layerConfig: an unknown option",
      () => withConfig({}, untyped({ replica: Config.succeed(3) })),
      /replica"/
    ],
    ["layerNats: undefined", () => Aegis.layerNats(untyped(undefined)), /servers/]
  ]
  for (const [what, layer, named] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer())))
        assert.match(String(Reflect.get(Object(error), "message")), named)
        assert.strictEqual((Reflect.get(Object(error), "reason") as { readonly _tag: string })._tag, "InvalidConfig")
      }))
  }
})
