/**
 * The requests of the JetStream API for consumers.
 */
import type { ConsumerSettings } from "../../../internal/nats/jetstream/api.ts"
import { refusals } from "./messages.ts"
import type { PushConsumer } from "./push.ts"
import type { SimulatedStream } from "./stream.ts"
import type { Answer } from "./streamApi.ts"

/** The probability that a new consumer pushes messages before the answer to its creation is sent. */
const pushesFirst = 0.2

export interface CreateRequest {
  readonly config?: ConsumerSettings
}

const infoOf = (stream: SimulatedStream, { name, position, settings }: PushConsumer): string =>
  JSON.stringify({
    type: "io.nats.jetstream.api.v1.consumer_info_response",
    stream_name: stream.name,
    name,
    config: settings,
    num_pending: position.pending
  })

/** `behind` runs a task after the answer was sent. */
export const create = (
  stream: SimulatedStream,
  { config }: CreateRequest,
  behind: (task: () => void) => void
): Answer => {
  if (config === undefined) return refusals.badRequest
  const existing = stream.consumers.get(config.name)
  if (existing !== undefined) return infoOf(stream, existing)
  if (stream.consumers.size >= stream.limits.maxConsumers) return refusals.tooManyConsumers
  const consumer = stream.addConsumer(config)
  const answer = infoOf(stream, consumer)
  if (stream.work.chance.is(pushesFirst)) consumer.begin()
  else behind(() => consumer.begin())
  return answer
}

export const info = (stream: SimulatedStream, name: string): Answer => {
  const consumer = stream.consumers.get(name)
  return consumer === undefined ? refusals.noConsumer : infoOf(stream, consumer)
}

export const remove = (stream: SimulatedStream, name: string): Answer => {
  const consumer = stream.consumers.get(name)
  if (consumer === undefined) return refusals.noConsumer
  stream.removeConsumer(consumer)
  return `{"success":true}`
}
