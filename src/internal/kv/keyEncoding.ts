/**
 * Any text as a key: what a key may hold stays as it is, anything else is `=`
 * and two hexadecimal digits for each byte of its UTF-8, as in quoted-printable
 * mail. The empty text is `=` alone.
 *
 *   users/42    users/42         a b     a=20b
 *   orders.7    orders.7         .a..    =2Ea.=2E
 *   name=ü      name=3D=C3=BC            =
 *
 * One text has one key: what decodes otherwise than it would be encoded is the
 * key of somebody else.
 */
import { fromUtf8, toUtf8 } from "../utf8.ts"

/** What has to be written otherwise: no letter of a key; or a dot at either end, or after another. */
const escaped = /[^-/_a-zA-Z0-9.]|^\.|(?<=\.)\.|\.$/gu

const hex = (byte: number): string => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`

/** Undefined where half of a surrogate pair is without the other: that is no text. */
export const encodeKey = (text: string): string | undefined => {
  if (!text.isWellFormed()) return undefined
  return text === "" ? "=" : text.replace(escaped, (character) => Array.from(toUtf8(character)!, hex).join(""))
}

/** Undefined for the keys that no text has. */
export const decodeKey = (key: string): string | undefined => {
  if (key === "=") return ""
  const bytes: Array<number> = []
  for (let index = 0; index < key.length; index++) {
    if (key[index] === "=") {
      bytes.push(Number.parseInt(key.slice(index + 1, index + 3), 16))
      index += 2
    } else {
      bytes.push(key.charCodeAt(index))
    }
  }
  const text = fromUtf8(Uint8Array.from(bytes))
  return text !== undefined && encodeKey(text) === key ? text : undefined
}
