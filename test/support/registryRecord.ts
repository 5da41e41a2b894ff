/** An instance and its record, for table tests of the registry's decisions. */
import * as DateTime from "effect/DateTime"
import type { InstanceRecord } from "../../src/internal/registry/record.ts"
import { InstanceId, ServiceInstance, ServiceName } from "../../src/ServiceInstance.ts"

export const instance = new ServiceInstance({
  serviceName: ServiceName.make("orders"),
  instanceId: InstanceId.make("one"),
  version: "1.2.3",
  status: "ACTIVE",
  lastHeartbeat: DateTime.makeUnsafe(1_000_000),
  metadata: { zone: "a", ports: [80, 443] }
})

export const mine = "mine"

/** The times in a record of another library. */
export const noTimes: InstanceRecord["times"] = { maxAge: undefined, streakSince: undefined, streakAfter: undefined }

export const recordOf = (nonce: string | undefined): InstanceRecord => ({
  instance,
  nonce,
  rest: { color: "red" },
  times: noTimes
})
