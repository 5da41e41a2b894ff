/**
 * Checks and copies the metadata of instances and candidates. The copy protects
 * against later changes of the caller's object. It is frozen, because it is handed out
 * and written again and again: a write to it would be stored without a check.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidValue } from "../AegisError.ts"
import { Metadata } from "../ServiceInstance.ts"
import { kindOf, shown } from "./options.ts"
import { isDeeperThan, mostLevelsOfMetadata } from "./storedJson.ts"

const decode = Schema.decodeUnknownResult(Metadata)
const isJson = Schema.is(Schema.Json)

const refused = (got: string): Result.Result<never, InvalidValue> =>
  Result.fail(new InvalidValue({ problem: `metadata: expected an object of JSON values by name, got ${got}` }))

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Freezes JSON, and what it contains. What is frozen already contains nothing else. */
export const frozen = <A>(value: A): A => {
  if (Object.isFrozen(value)) return value
  for (const part of Object.values(Object(value))) frozen(part)
  return Object.freeze(value)
}

const copyOf = (value: object): Result.Result<Metadata, InvalidValue> => {
  const decoded = decode(value)
  if (Result.isFailure(decoded)) return refused(`another value: ${decoded.failure.message.replaceAll(/\s+/g, " ")}`)
  // JSON.stringify would turn an instance of a class, such as a Map, into an empty object.
  if (!isJson(value)) return refused("an object that contains an instance of a class")
  const text = JSON.stringify(decoded.success)
  return isDeeperThan(mostLevelsOfMetadata, text)
    ? refused(`an object of more than ${mostLevelsOfMetadata} levels`)
    : Result.succeed(frozen(JSON.parse(text)))
}

export const toMetadata = (value: unknown): Result.Result<Metadata, InvalidValue> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refused(shown(value))
  // Throws if a getter throws, if the nesting is too deep, or if an object contains itself.
  return Result.try(() => isPlain(value) ? copyOf(value) : refused(kindOf(value))).pipe(
    Result.getOrElse((cause) =>
      refused(`an object that cannot be read (${cause instanceof Error ? cause.message : String(cause)})`)
    )
  )
}
