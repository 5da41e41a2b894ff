/**
 * Encodes any text as a key, like quoted-printable in mail: letters, digits, `-`,
 * `_`, `/` and single dots inside the text are unchanged; all other characters,
 * `=` included, become `=` and two hexadecimal digits for each byte of their UTF-8.
 * The empty text becomes `=`.
 *
 *   users/42    users/42         a b     a=20b
 *   orders.7    orders.7         .a..    =2Ea.=2E
 *   name=ü      name=3D=C3=BC            =
 *
 * Each text has exactly one key. A key that is not the encoding of a text was not
 * written by this encoding.
 */
import { fromUtf8, toUtf8 } from "../utf8.ts"

/** Characters to encode: `=`, those that a key cannot have, and dots at either end or after another dot. */
const escaped = /[^-/_a-zA-Z0-9.]|^\.|(?<=\.)\.|\.$/gu

const hex = (byte: number): string => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`

/** Undefined if the text has an unpaired surrogate. */
export const encodeKey = (text: string): string | undefined => {
  if (!text.isWellFormed()) return undefined
  return text === "" ? "=" : text.replace(escaped, (character) => Array.from(toUtf8(character)!, hex).join(""))
}

/** Undefined if the key is not the encoding of a text. */
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
