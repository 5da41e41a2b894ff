/** The client that a test has of its server. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NatsClient from "../../src/NatsClient.ts"
import { NatsServer } from "./natsServer.ts"

export const layerClient = Layer.unwrap(Effect.map(NatsServer, ({ url }) => NatsClient.layer({ servers: url })))
