/**
 * Reads a block of headers in wire format. Unlike the clients' decoders it accepts
 * whatever a server has stored: names with spaces, values with line feeds, and any
 * bytes. It also keeps white space of Unicode at the ends of a value, which the clients
 * remove: the key of a message that is read directly is in a header
 * (docs/protocols/kv.md, K32).
 */

export interface HeaderBlock {
  /** The status of the first line, or 0. */
  readonly status: number
  readonly description: string
  /** The last value of a header, or "". */
  readonly header: (name: string) => string
}

const plain = "NATS/1.0"

const firstLine = /^NATS\/1\.0(?: +(\d{3})(?: (.*))?)? *$/s

const decoder = new TextDecoder()

const isSpace = (code: number): boolean => code === 32 || code === 9

/** The part of a text without the spaces and tabs at its ends. */
const trimmed = (text: string, from: number, to: number): string => {
  let [start, end] = [from, to]
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

const separator = "\r\n"

/** The headers in the lines that begin at `from`: of several with the same name the last one. */
const headersFrom = (text: string, from: number): ReadonlyMap<string, string> => {
  const headers = new Map<string, string>()
  for (let at = from; at < text.length;) {
    const found = text.indexOf(separator, at)
    const end = found === -1 ? text.length : found
    const colon = text.indexOf(":", at)
    if (colon > at && colon < end) headers.set(text.slice(at, colon), trimmed(text, colon + 1, end))
    at = end + separator.length
  }
  return headers
}

const noStatus: readonly [status: number, description: string] = [0, ""]

const statusOf = (line: string): readonly [status: number, description: string] => {
  const [, status = "0", description = ""] = firstLine.exec(line) ?? []
  return [Number(status), description.trim()]
}

/** Never throws: bytes that are no block of headers have no headers. */
export const readHeaderBlock = (bytes: Uint8Array): HeaderBlock => {
  const text = decoder.decode(bytes)
  const found = text.indexOf(separator)
  const end = found === -1 ? text.length : found
  const first = text.slice(0, end)
  const [status, description] = first === plain ? noStatus : statusOf(first)
  const headers = headersFrom(text, end + separator.length)
  return { status, description, header: (name) => headers.get(name) ?? "" }
}
