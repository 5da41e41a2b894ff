/** Records as AegisSDK for Python writes them. */
import { bytes } from "../../tools/values.ts"
import type { Store } from "./suite.ts"

export const legacyKey = (serviceName: string, instanceId: string): string =>
  `service-instances__${serviceName}__${instanceId}`

/** The fields in its order, with the time as `datetime.now(UTC).isoformat()` gives it. */
export const legacyFields = (serviceName: string, instanceId: string, fields: object = {}) => ({
  serviceName,
  instanceId,
  version: "1.0.0",
  status: "ACTIVE",
  lastHeartbeat: "1970-01-01T00:00:00.123456+00:00",
  stickyActiveGroup: null,
  metadata: {},
  ...fields
})

/** Writes a heartbeat of an instance of AegisSDK: an unconditional write of the whole record. */
export const putLegacy = (store: Store, serviceName: string, instanceId: string, fields: object = {}) =>
  store.put(
    legacyKey(serviceName, instanceId),
    bytes(JSON.stringify(legacyFields(serviceName, instanceId, fields)))
  )
