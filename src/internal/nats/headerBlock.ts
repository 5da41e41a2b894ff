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

const firstLine = /^NATS\/1\.0(?: +(\d{3})(?: (.*))?)? *$/s

const decoder = new TextDecoder()

const spaces = /^[ \t]+|[ \t]+$/g

/** Never throws: bytes that are no block of headers have no headers. */
export const readHeaderBlock = (bytes: Uint8Array): HeaderBlock => {
  const [first = "", ...lines] = decoder.decode(bytes).split("\r\n")
  const [, status = "0", description = ""] = firstLine.exec(first) ?? []
  const headers = new Map(lines.flatMap((line) => {
    const colon = line.indexOf(":")
    return colon < 1 ? [] : [[line.slice(0, colon), line.slice(colon + 1).replace(spaces, "")] as const]
  }))
  return { status: Number(status), description: description.trim(), header: (name) => headers.get(name) ?? "" }
}
