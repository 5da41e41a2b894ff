/**
 * The requests of the JetStream API for consumers.
 */
import type { ConsumerSettings } from "../../../internal/nats/jetstream/api.ts"
import { refusals } from "./messages.ts"
import type { PullConsumer } from "./pullConsumer.ts"
import type { SimulatedStream } from "./stream.ts"
import type { Answer } from "./streamApi.ts"

export interface CreateRequest {
  readonly config?: ConsumerSettings
}

const infoOf = (stream: SimulatedStream, { name, position, settings }: PullConsumer): string =>
  JSON.stringify({
    type: "io.nats.jetstream.api.v1.consumer_info_response",
    stream_name: stream.name,
    name,
    config: settings,
    num_pending: position.pending
  })

export const create = (stream: SimulatedStream, { config }: CreateRequest): Answer => {
  if (config === undefined) return refusals.badRequest
  const existing = stream.consumers.get(config.name)
  if (existing !== undefined) return infoOf(stream, existing)
  if (stream.consumers.size >= stream.limits.maxConsumers) return refusals.tooManyConsumers
  return infoOf(stream, stream.addConsumer(config))
}

export const info = (stream: SimulatedStream, name: string): Answer => {
  const consumer = stream.consumers.get(name)
  return consumer === undefined ? refusals.noConsumer : infoOf(stream, consumer)
}

export const remove = (stream: SimulatedStream, name: string): Answer => {
  const consumer = stream.consumers.get(name)
  if (consumer === undefined) return refusals.noConsumer
  stream.removeConsumer(consumer, true)
  return `{"success":true}`
}
