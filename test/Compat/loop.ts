import * as Effect from "effect/Effect"
import * as Compat from "../../src/Compat.ts"

/** The function of this name in AegisSDK's document, line by line. */
export const cleanupExpiredServices = (maxAgeSeconds: number = 30) =>
  Effect.gen(function*() {
    const allServices = yield* Compat.listAllServices
    for (const [serviceName, instances] of allServices) {
      for (const instance of instances) {
        if (yield* Compat.isExpired(instance, maxAgeSeconds)) yield* Compat.deregister(serviceName, instance.instanceId)
      }
    }
  })
