/**
 * Metadata as a caller gave it: JSON, and a copy, so that what the caller does to
 * its own later is not sent. The same for instances and for candidates.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidValue } from "../AegisError.ts"
import { Metadata } from "../ServiceInstance.ts"
import { kindOf, shown } from "./options.ts"

const decode = Schema.decodeUnknownResult(Metadata)
const isJson = Schema.is(Schema.Json)

const refused = (got: string): Result.Result<never, InvalidValue> =>
  Result.fail(new InvalidValue({ problem: `metadata: expected an object of JSON values by name, got ${got}` }))

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const copyOf = (value: object): Result.Result<Metadata, InvalidValue> => {
  const decoded = decode(value)
  if (Result.isFailure(decoded)) return refused(`another value: ${decoded.failure.message.replaceAll(/\s+/g, " ")}`)
  // An instance of a class, such as a Map within it, would be stored as an empty object.
  return isJson(value)
    ? Result.succeed(JSON.parse(JSON.stringify(decoded.success)))
    : refused("an instance of a class within it")
}

export const toMetadata = (value: unknown): Result.Result<Metadata, InvalidValue> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refused(shown(value))
  // It throws for getters that throw, and for what is nested too deep, or holds itself.
  return Result.try(() => isPlain(value) ? copyOf(value) : refused(kindOf(value))).pipe(
    Result.getOrElse((cause) =>
      refused(`one that cannot be read (${cause instanceof Error ? cause.message : String(cause)})`)
    )
  )
}
