/** Writes in the form that a backend takes. */
import type { Append, Condition } from "../../src/internal/kv/backend.ts"
import { bytes } from "../../tools/values.ts"

export const put = (key: string, value = "", condition?: Condition): Append => ({
  key,
  operation: "put",
  value: bytes(value),
  condition
})

export const remove = (operation: "delete" | "purge", key: string, condition?: Condition): Append => ({
  key,
  operation,
  value: new Uint8Array(0),
  condition
})

/** A write of the key `a.b` with a value of five bytes. */
export const append = (operation: Append["operation"], condition?: Condition): Append => ({
  key: "a.b",
  operation,
  value: bytes("12345"),
  condition
})
