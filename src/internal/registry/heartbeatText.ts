/**
 * The stored text of a decoded record. By it a view recognises the next heartbeat of the instance without decoding it: a
 * comparison costs a small part of a decoding, and a view receives the whole record with each heartbeat
 * (docs/protocols/registry.md, R24). Exact: whatever differs in more than the time of the heartbeat is decoded. Pure.
 */
import { endOfString } from "../storedJson.ts"

const field = "lastHeartbeat"

/** The form in which this library stores a time. A zero stands for any digit. */
const form = "0000-00-00T00:00:00.000Z"

/** Larger records are decoded with every heartbeat: their texts would be most of the memory of a view. */
const largestText = 4096

const quote = 34
const zero = 48
const nine = 57

const isDigit = (code: number): boolean => code >= zero && code <= nine

/** Whether a time in the form of this library, and the end of its string, are at a place. */
const hasTime = (text: string, place: number): boolean => {
  for (let at = 0; at < form.length; at++) {
    const code = text.charCodeAt(place + at)
    if (form.charCodeAt(at) === zero ? !isDigit(code) : code !== form.charCodeAt(at)) return false
  }
  return text.charCodeAt(place + form.length) === quote
}

/**
 * The index of the time of the heartbeat in the JSON text of a record; undefined if it cannot be told for certain. A string
 * with a backslash beside the fields of the record could be the same name in another spelling.
 */
const placeOfTime = (text: string): number | undefined => {
  let depth = 0
  let place: number | undefined
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!
    if (character === "{" || character === "[") depth++
    else if (character === "}" || character === "]") depth--
    if (character !== "\"") continue
    const end = endOfString(text, at)
    const name = depth === 1 ? text.slice(at + 1, end) : ""
    at = end
    if (name.includes("\\") || (name === field && place !== undefined)) return undefined
    if (name === field) place = end + ":\"".length + 1
  }
  return place !== undefined && text.startsWith(":\"", place - 2) && hasTime(text, place) ? place : undefined
}

/** Ignores nothing: each ASCII byte becomes one character. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The bytes as characters of the same codes. Most records are ASCII, whose decoding is much faster. */
const toText = (bytes: Uint8Array): string => {
  const text = decoder.decode(bytes)
  return text.length === bytes.length ? text : String.fromCharCode(...bytes)
}

export class HeartbeatText {
  /** The bytes of the record, one character for each: a string needs less memory than an array. */
  private readonly text: string
  /** The index of the time, once it has been looked for: not while a snapshot is read. */
  private place: number | undefined
  private isSearched = false

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
    if (!this.isSearched) {
      this.place = placeOfTime(text)
      this.isSearched = true
    }
    const { place } = this
    if (place === undefined) return undefined
    const end = place + form.length
    for (let at = 0; at < bytes.length; at++) {
      const code = bytes[at]!
      if (code === text.charCodeAt(at)) continue
      const isDigitOfTime = at >= place && at < end && form.charCodeAt(at - place) === zero && isDigit(code)
      if (!isDigitOfTime) return undefined
    }
    const time = Date.parse(String.fromCharCode(...bytes.subarray(place, end)))
    return Number.isNaN(time) ? undefined : time
  }
}
