/**
 * A stored message, and its encodings in answers.
 */
import type { MessageOperation } from "../../../internal/kv/backend.ts"
import { markerHeaders, sizeOfHeaders, sizeOfStored } from "../../../internal/kv/headers.ts"
import type { MessageHeaders } from "../../../internal/nats/port.ts"
import { noBytes } from "../../../internal/utf8.ts"

export const rfc3339 = (millis: number): string => new Date(millis).toISOString()

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

type Storage = "file" | "memory"

/** A stored message, shared by all copies of its stream. `value` is the publisher's array: it must not be modified. */
export class Kept {
  readonly subject: string
  readonly revision: number
  /** Unix milliseconds by the clock of the stream's leader; can have a fraction. */
  readonly created: number
  readonly operation: MessageOperation
  readonly headers: MessageHeaders
  readonly value: Uint8Array
  readonly size: number
  private direct: MessageHeaders | undefined

  constructor(
    subject: string,
    revision: number,
    created: number,
    operation: MessageOperation,
    headers: MessageHeaders,
    value: Uint8Array,
    storage: Storage
  ) {
    this.subject = subject
    this.revision = revision
    this.created = created
    this.operation = operation
    this.headers = headers
    this.value = value
    this.size = sizeOfStored(storage, subject, sizeOfHeaders(headers), value)
  }

  /** The headers of the answer to a direct get: its stream, subject, revision and time, then its own headers. */
  directHeaders(stream: string): MessageHeaders {
    return this.direct ??= [
      ["Nats-Stream", stream],
      ["Nats-Subject", this.subject],
      ["Nats-Sequence", String(this.revision)],
      ["Nats-Time-Stamp", rfc3339(this.created)],
      ...this.headers
    ]
  }

  /** The message in the leader's answer (`STREAM.MSG.GET`). */
  json(): string {
    const hdrs = this.headers.length === 0 ? "" : `,"hdrs":"${base64(Buffer.from(this.block()))}"`
    const data = this.value.length === 0 ? "" : `,"data":"${base64(this.value)}"`
    return `{"subject":${JSON.stringify(this.subject)},"seq":${this.revision}${hdrs}${data},"time":"${
      rfc3339(this.created)
    }"}`
  }

  private block(): string {
    return `NATS/1.0\r\n${this.headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`
  }
}

/** The expiry marker that replaces an expired value; it expires itself after `age` ms. */
export const marker = (subject: string, revision: number, created: number, age: number, storage: Storage): Kept =>
  new Kept(subject, revision, created, "expire", markerHeaders(age), noBytes, storage)
