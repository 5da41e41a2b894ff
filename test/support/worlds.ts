/** The worlds of live tests: each line of the server with the current client, and the latest line with the legacy client. */
import * as Layer from "effect/Layer"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { layerClient, layerLegacyClient, layerRaw } from "./natsClient.ts"

/** The line of the server, and the NATS client under this library. */
export interface World {
  readonly line: Line
  readonly client: "current" | "legacy"
}

export const worlds: ReadonlyArray<World> = [
  ...lines.map((line) => ({ line, client: "current" }) as const),
  { line: "2.15", client: "legacy" }
]

export const nameOf = ({ client, line }: World): string => client === "legacy" ? `${line} legacy` : line

/** A server of a world, with its client and a raw connection. `config` is text of the server's configuration. */
export const layerWorld = ({ client, line }: World, config?: string) =>
  Layer.merge(client === "legacy" ? layerLegacyClient : layerClient, layerRaw).pipe(
    Layer.provideMerge(layerNatsServer(line, { config }))
  )
