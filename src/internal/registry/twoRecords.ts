/**
 * Decides how reads and watches see an instance with two records: one of this library, and one of AegisSDK for Python
 * under another key (docs/protocols/registry.md, R33). Pure.
 */
import type { RegistryEvent } from "../../Registry.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { keyOf, sameButTime } from "./record.ts"

/** One record of an instance. */
export interface Candidate {
  readonly instance: ServiceInstance
  readonly isLegacy: boolean
  readonly isLive: boolean
}

const heartbeatOf = ({ instance: { lastHeartbeat } }: Candidate): number => lastHeartbeat.epochMilliseconds

/** A live record counts; of two live ones that of this library; of two expired ones that with the later heartbeat. */
export const preferred = (one: Candidate, other: Candidate): Candidate => {
  if (one.isLive !== other.isLive) return one.isLive ? one : other
  const [ours, theirs] = one.isLegacy ? [other, one] : [one, other]
  return !one.isLive && heartbeatOf(theirs) > heartbeatOf(ours) ? theirs : ours
}

/** Each instance once. */
export const oneOfEach = (all: ReadonlyArray<Candidate>): ReadonlyArray<ServiceInstance> => {
  const byInstance = new Map<string, Candidate>()
  for (const candidate of all) {
    const key = keyOf(candidate.instance)
    const other = byInstance.get(key)
    byInstance.set(key, other === undefined ? candidate : preferred(other, candidate))
  }
  return Array.from(byInstance.values(), ({ instance }) => instance)
}

type InstanceEvent = Exclude<RegistryEvent, { readonly _tag: "Ready" }>

/** The event of an instance that is seen with other values now. Another record has no nonce, so it shows no restart. */
const changedTo = (previous: ServiceInstance, instance: ServiceInstance): InstanceEvent | undefined =>
  sameButTime(previous, instance) ? undefined : { _tag: "Changed", instance, previous, restarted: false }

/**
 * The event of an instance, from one of its record; undefined for none. `other`: the instance by its other record, while
 * that is live.
 */
export const asOne = (
  event: InstanceEvent,
  { isLegacy, other }: { readonly isLegacy: boolean; readonly other: ServiceInstance | undefined }
): InstanceEvent | undefined => {
  if (other === undefined) return event
  // The record of this library is the one that is seen.
  if (isLegacy) return undefined
  switch (event._tag) {
    case "Up":
      return changedTo(other, event.instance)
    case "Changed":
      return event
    case "Down":
      return changedTo(event.instance, other)
  }
}
