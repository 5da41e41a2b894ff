/** The states of an own record, event by event: as a table. */
import { assert, describe, it } from "@effect/vitest"
import type { LastSeen } from "../../../src/internal/registry/decisions.ts"
import {
  type Command,
  enrolling,
  type Event,
  isOver,
  type OnDuplicate,
  type State,
  transition
} from "../../../src/internal/registry/ownState.ts"
import { changed, type InstanceRecord } from "../../../src/internal/registry/record.ts"
import { instance, mine, recordOf } from "../../support/registryRecord.ts"

const record = recordOf(mine)
const draining: InstanceRecord = { ...record, instance: changed(instance, { status: "DRAINING" }) }

/** Monotonic milliseconds at which the write before was sent. */
const landedAt = 1000

const states = {
  enrolling: enrolling(record),
  registered: { _tag: "Registered", record, landedAt, revision: 5 },
  /** The answer of a heartbeat is awaited, or did not come. */
  unanswered: { _tag: "Unanswered", record, landedAt, on: 5 },
  /** The same of the first write, over nothing. */
  firstUnanswered: { _tag: "Unanswered", record, landedAt: Number.NEGATIVE_INFINITY, on: 0 },
  leaving: { _tag: "Leaving", record, landedAt, mayLandOn: undefined },
  leavingUnanswered: { _tag: "Leaving", record, landedAt, mayLandOn: 5 },
  deregistered: { _tag: "Ended", record, landedAt, reason: "Deregistered" },
  duplicate: { _tag: "Ended", record, landedAt, reason: "DuplicateInstance" }
} as const satisfies { readonly [name: string]: State }

const { deregistered, duplicate, firstUnanswered, leaving, leavingUnanswered, registered, unanswered } = states

const nothing: LastSeen = { _tag: "Nothing" }
const removed = (reason: "delete" | "purge" | "expire" | "reset", revision = 9): LastSeen => ({
  _tag: "Removed",
  revision,
  reason
})
const own: LastSeen = { _tag: "Live", revision: 9, record: draining }
const another: LastSeen = { _tag: "Live", revision: 9, record: recordOf("another") }
const withoutNonce: LastSeen = { _tag: "Live", revision: 9, record: recordOf(undefined) }
const undecodable: LastSeen = { _tag: "Undecodable", revision: 9 }

const asked: Event = { _tag: "Asked" }
const sent: Event = { _tag: "Sent", on: 5 }
const landed: Event = { _tag: "Landed", record: draining, revision: 6, at: 2000 }
const leaveAsked: Event = { _tag: "LeaveAsked" }
const conflict = (as: "first" | "replacement" | "heartbeat"): Event => ({ _tag: "Conflict", as })
const readBack = (seen: LastSeen): Event => ({ _tag: "ReadBack", seen })
const looked = (seen: LastSeen, looks = 2): Event => ({ _tag: "Looked", seen, looks })
const found = (seen: LastSeen, silence: "young" | "old" = "young", onDuplicate: OnDuplicate = "wait"): Event => ({
  _tag: "Found",
  seen,
  silentFor: 300,
  isTooOld: silence === "old",
  now: 2000,
  onDuplicate
})

const done: Command = { _tag: "Done" }
const remove: Command = { _tag: "Remove", looks: 5 }
const refuse = (reason: "Deregistered" | "DuplicateInstance"): Command => ({ _tag: "Refuse", reason })
const write = (on: number, as: "first" | "replacement" | "heartbeat"): Command => ({ _tag: "Write", on, as })

type Row = readonly [what: string, state: State, event: Event, next: State, command: Command]

const table = (title: string, rows: ReadonlyArray<Row>) => {
  describe(title, () => {
    for (const [what, state, event, next, command] of rows) {
      it(what, () => {
        assert.deepStrictEqual(transition(mine, state, event), { next, command })
      })
    }
  })
}

/** Enrolment is the same whether or not a first write is unanswered. */
const enrolments = [
  ["nothing of ours was sent", states.enrolling],
  ["a first write is unanswered", firstUnanswered]
] as const

const occupants = [
  ["another process's record", another],
  ["a record without a nonce", withoutNonce],
  ["a value that does not decode", undecodable]
] as const

for (const [when, state] of enrolments) {
  const toRegistered: State = { _tag: "Registered", record: draining, landedAt: 1700, revision: 9 }
  table(`An own record that enrols while ${when}`, [
    ["writes over nothing", state, found(nothing), state, write(0, "first")],
    ...(["delete", "purge", "expire", "reset"] as const).map((reason): Row => [
      `writes over exactly the message that it went by ${reason}`,
      state,
      found(removed(reason)),
      state,
      write(9, "first")
    ]),
    ["adopts its own record", state, found(own), toRegistered, { _tag: "Enrolled" }],
    ["adopts its own record, also an old one", state, found(own, "old"), toRegistered, { _tag: "Enrolled" }]
  ])

  for (const [what, seen] of occupants) {
    const wait: Command = { _tag: "Wait", revision: 9, silentFor: 300 }
    table(`An own record that enrols while ${when}, and finds ${what}`, [
      ["waits for its silence", state, found(seen, "young", "wait"), state, wait],
      ["is refused where it may not wait", state, found(seen, "young", "fail"), state, refuse("DuplicateInstance")],
      ["replaces it where it may", state, found(seen, "young", "replace"), state, write(9, "replacement")],
      ...(["wait", "fail", "replace"] as const).map((onDuplicate): Row => [
        `writes over it once it is too old, where it may ${onDuplicate}`,
        state,
        found(seen, "old", onDuplicate),
        state,
        write(9, "first")
      ])
    ])
  }
}

table("An own record that enrols", [
  ["enrols before its first heartbeat", states.enrolling, asked, states.enrolling, { _tag: "Enroll" }],
  [
    "dates its record from now where that is said to be from the future",
    states.enrolling,
    { _tag: "Found", seen: own, silentFor: -50, isTooOld: false, now: 2000, onDuplicate: "wait" },
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 9 },
    { _tag: "Enrolled" }
  ],
  ["awaits the answer of its first write", states.enrolling, { _tag: "Sent", on: 0 }, firstUnanswered, done],
  [
    "writes again, on the message that it read since, while its first write is unanswered",
    firstUnanswered,
    { _tag: "Sent", on: 9 },
    { ...firstUnanswered, on: 9 },
    done
  ],
  [
    "is registered when its first write lands",
    firstUnanswered,
    landed,
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    done
  ],
  [
    "enrols again when its first write meets another",
    firstUnanswered,
    conflict("first"),
    states.enrolling,
    { _tag: "EnrollAgain" }
  ],
  [
    "replaces once: a process that comes between is not replaced as well",
    firstUnanswered,
    conflict("replacement"),
    states.enrolling,
    refuse("DuplicateInstance")
  ],
  [
    "leaves with nothing that may land before its first write is sent",
    states.enrolling,
    leaveAsked,
    { ...leaving, landedAt: Number.NEGATIVE_INFINITY },
    remove
  ],
  [
    "leaves while its first write may land",
    firstUnanswered,
    leaveAsked,
    { ...leaving, landedAt: Number.NEGATIVE_INFINITY, mayLandOn: 0 },
    remove
  ]
])

table("A registered own record", [
  ["writes its heartbeat on its revision", registered, asked, registered, write(5, "heartbeat")],
  ["awaits the answer of its heartbeat", registered, sent, unanswered, done],
  [
    "is dated by when the heartbeat was sent that landed",
    unanswered,
    landed,
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    done
  ],
  ["reads back after a conflict", unanswered, conflict("heartbeat"), registered, { _tag: "ReadBack" }],
  ["leaves with nothing that may land", registered, leaveAsked, leaving, remove],
  ["is not removed unless it leaves", registered, looked(own), registered, done],
  ["is not removed unless it leaves, also where it is unanswered", unanswered, looked(own), unanswered, done]
])

table("An own record with an unanswered heartbeat", [
  ["writes the next one on the same revision", unanswered, asked, unanswered, write(5, "heartbeat")],
  [
    "writes the next one on the same message where it was the first",
    firstUnanswered,
    asked,
    firstUnanswered,
    write(0, "heartbeat")
  ],
  ["awaits the answer of the next one", unanswered, sent, unanswered, done],
  [
    "is registered where it did not land, and the next one does",
    unanswered,
    landed,
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    done
  ],
  ["reads back where it landed, and the next one conflicts", unanswered, conflict("heartbeat"), registered, {
    _tag: "ReadBack"
  }],
  [
    "reads back where it was the first, and the next one conflicts",
    firstUnanswered,
    conflict("heartbeat"),
    { ...registered, landedAt: Number.NEGATIVE_INFINITY, revision: 0 },
    { _tag: "ReadBack" }
  ],
  ["leaves while that may land", unanswered, leaveAsked, leavingUnanswered, remove]
])

table("A registered own record that reads back after a conflict", [
  [
    "adopts its own record at another revision",
    registered,
    readBack(own),
    { ...registered, record: draining, revision: 9 },
    { _tag: "WriteAgain" }
  ],
  ["registers again where it was forgotten", registered, readBack(nothing), { ...registered, revision: 0 }, {
    _tag: "RegisterAgain"
  }],
  ...(["purge", "expire", "reset"] as const).map((reason): Row => [
    `registers again over the message that it went by ${reason}`,
    registered,
    readBack(removed(reason)),
    { ...registered, revision: 9 },
    { _tag: "RegisterAgain" }
  ]),
  ["ends where it was deregistered", registered, readBack(removed("delete")), deregistered, refuse("Deregistered")],
  ["ends where another has the id", registered, readBack(another), duplicate, refuse("DuplicateInstance")],
  ["ends at a record without a nonce", registered, readBack(withoutNonce), duplicate, refuse("DuplicateInstance")],
  ["ends at a value that does not decode", registered, readBack(undecodable), duplicate, refuse("DuplicateInstance")]
])

table("An own record that leaves", [
  ["writes no heartbeat", leaving, asked, leaving, refuse("Deregistered")],
  ["writes no heartbeat, also where one is unanswered", leavingUnanswered, asked, leavingUnanswered, {
    _tag: "Refuse",
    reason: "Deregistered"
  }],
  ["sends nothing that was being composed", leaving, sent, leaving, refuse("Deregistered")],
  ["enrols no more", leaving, found(nothing), leaving, refuse("Deregistered")],
  ["adopts no record", leaving, found(own), leaving, refuse("Deregistered")],
  [
    "knows what landed after leave was asked, and stays leaving",
    leavingUnanswered,
    landed,
    { _tag: "Leaving", record: draining, landedAt: 2000, mayLandOn: undefined },
    done
  ],
  ["awaits nothing after a conflict", leavingUnanswered, conflict("heartbeat"), leaving, { _tag: "ReadBack" }],
  [
    "stays leaving when it reads its own record back",
    leaving,
    readBack(own),
    { ...leaving, record: draining },
    { _tag: "WriteAgain" }
  ],
  ["registers nothing again", leaving, readBack(nothing), leaving, { _tag: "WriteAgain" }],
  ["stays leaving where it was deregistered", leaving, readBack(removed("delete")), leaving, refuse("Deregistered")],
  ["stays leaving where another has the id", leaving, readBack(another), leaving, refuse("DuplicateInstance")],
  ["is asked twice, and looks again", leaving, leaveAsked, leaving, remove],
  [
    "is asked twice, and still waits for the write that may land",
    leavingUnanswered,
    leaveAsked,
    leavingUnanswered,
    remove
  ]
])

const removal = (state: typeof leaving | typeof leavingUnanswered | typeof duplicate): ReadonlyArray<Row> => [
  ["deletes its own record at the revision that it read", state, looked(own, 0), state, {
    _tag: "Delete",
    revision: 9,
    looks: 0
  }],
  ["leaves nothing where nothing is there", state, looked(nothing), state, done],
  ["leaves its tombstone", state, looked(removed("delete")), state, done],
  ["leaves another process's record", state, looked(another), state, done],
  ["leaves a record without a nonce", state, looked(withoutNonce), state, done],
  ["leaves a value that does not decode", state, looked(undecodable), state, done]
]

table("The removal of an own record", removal(leaving))
table("The removal of an own record with an unanswered write", [
  ...removal(leavingUnanswered),
  ["looks again while the message is there that it was written on", leavingUnanswered, looked(removed("purge", 5)), {
    ...leavingUnanswered
  }, { _tag: "LookAgain", looks: 1 }],
  [
    "looks again while another's record is there that it was written on",
    leavingUnanswered,
    looked({ _tag: "Live", revision: 5, record: recordOf("another") }, 1),
    leavingUnanswered,
    { _tag: "LookAgain", looks: 0 }
  ],
  [
    "looks again while nothing is there where it was written on nothing",
    { ...leavingUnanswered, mayLandOn: 0 },
    looked(nothing),
    { ...leavingUnanswered, mayLandOn: 0 },
    { _tag: "LookAgain", looks: 1 }
  ],
  ["gives up when no look is left", leavingUnanswered, looked(removed("purge", 5), 0), leavingUnanswered, done]
])
table("The removal of an own record that has ended", removal(duplicate))

for (const ended of [deregistered, duplicate]) {
  const events: ReadonlyArray<Event> = [
    asked,
    found(nothing),
    found(own),
    sent,
    landed,
    conflict("first"),
    conflict("replacement"),
    conflict("heartbeat"),
    readBack(own),
    readBack(nothing),
    readBack(another)
  ]
  table(`An own record that has ended by ${ended.reason}`, [
    ...events.map((event, index): Row => [
      `is left by no event: ${event._tag} (${index})`,
      ended,
      event,
      ended,
      refuse(ended.reason)
    ]),
    ["is left by no event, and removed where leave is asked", ended, leaveAsked, ended, remove]
  ])
}

describe("An own record is over", () => {
  for (const [name, state] of Object.entries(states)) {
    const expected = state._tag === "Leaving" || state._tag === "Ended"
    it(`${expected} while it is ${name}`, () => {
      assert.strictEqual(isOver(state), expected)
    })
  }
})
