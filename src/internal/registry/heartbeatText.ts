/**
 * The stored text of a decoded record. By it a view recognises the next heartbeat of the instance without decoding it: a
 * comparison costs a small part of a decoding, and a view receives the whole record with each heartbeat
 * (docs/protocols/registry.md, R24). Exact: whatever differs in more than the time of the heartbeat is decoded. Pure.
 */
import { Buffer } from "node:buffer"
import { endOfString } from "../storedJson.ts"

/** The time of a heartbeat as this library stores it. */
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/.source
const timeLength = 24
const isTime = new RegExp(`^${time}$`)
const stored = new RegExp(`:"${time}"`, "y")

/** Larger records are decoded with every heartbeat: their texts would be most of the memory of a view. */
const largestText = 4096

/**
 * The index of the time of the heartbeat in the JSON text of a record; -1 if it cannot be told for certain. A string with
 * a backslash beside the fields of the record could be the same name in another spelling.
 */
const placeOfTime = (text: string): number => {
  let depth = 0
  let place = -1
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if ("{[".includes(character)) depth++
    if ("}]".includes(character)) depth--
    if (character !== "\"") continue
    const end = endOfString(text, at)
    const name = depth === 1 ? text.slice(at + 1, end) : ""
    at = end
    if (name.includes("\\")) return -1
    if (name !== "lastHeartbeat") continue
    stored.lastIndex = end + 1
    if (place !== -1 || !stored.test(text)) return -1
    place = end + ":\"".length + 1
  }
  return place
}

/** The bytes as characters of the same codes. Two such texts are compared much faster than the bytes. */
const toText = ({ buffer, byteLength, byteOffset }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("latin1")

export class HeartbeatText {
  /** The bytes of the record, one character for each: a string needs less memory than an array. */
  private readonly text: string
  /** The index of the time, once it has been looked for: not while a snapshot is read. */
  private place: number | undefined

  private constructor(text: string) {
    this.text = text
  }

  /** The text of a record that has been decoded; undefined if it is too large to be kept. */
  static of(bytes: Uint8Array): HeartbeatText | undefined {
    return bytes.length > largestText ? undefined : new HeartbeatText(toText(bytes))
  }

  /** The time of a heartbeat, in milliseconds since 1970, if these bytes are the record with that time; otherwise undefined. */
  timeIn(bytes: Uint8Array): number | undefined {
    const { text } = this
    if (bytes.length !== text.length) return undefined
    const place = this.place ??= placeOfTime(text)
    if (place === -1) return undefined
    const received = toText(bytes)
    const end = place + timeLength
    const sent = received.slice(place, end)
    // Equality of texts takes a third of the time of `startsWith` and `endsWith`.
    const isSame = received.slice(0, place) === text.slice(0, place) && received.slice(end) === text.slice(end)
    if (!isSame || !isTime.test(sent)) return undefined
    const millis = Date.parse(sent)
    return Number.isNaN(millis) ? undefined : millis
  }
}
