/**
 * Lists of instances whose metadata is decoded (docs/registry.md).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { ReadOptions, Registry, TypedInstance, TypedRegistry } from "../../Registry.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { annotate, Repeated } from "../logs.ts"
import { reasonOf } from "../texts.ts"

/** Decodes the metadata of instances. One whose metadata does not decode is logged, and left out. */
export const typed = <A>(
  registry: Registry["Service"],
  metadata: Schema.Codec<A, unknown>
): TypedRegistry<A> => {
  const decode = Schema.decodeUnknownResult(Schema.toCodecJson(metadata))
  const failures = new Repeated()

  const decoded = (instance: ServiceInstance): Effect.Effect<ReadonlyArray<TypedInstance<A>>> =>
    Result.match(decode(instance.metadata), {
      onFailure: (error) => {
        const label = `${instance.serviceName}/${instance.instanceId}`
        const line = Effect.logWarning(
          `the metadata of ${label} does not decode, so it is left out: ${reasonOf(error)}`
        )
        return Effect.as(failures.log(label, annotate("Registry", { service: instance.serviceName })(line)), [])
      },
      onSuccess: (metadata) => Effect.succeed([{ ...instance, metadata }])
    })

  return {
    list: (serviceName: string, options?: ReadOptions) =>
      Effect.flatMap(
        registry.list(serviceName, options),
        (instances) => Effect.map(Effect.forEach(instances, decoded), (all) => all.flat())
      )
  }
}
