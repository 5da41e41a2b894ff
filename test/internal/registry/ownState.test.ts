/** The state machine of a process's own record, as tables of state, event, next state and command. */
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

/** When the previous write was sent, in monotonic milliseconds. */
const landedAt = 1000

const states = {
  enrolling: enrolling(record),
  registered: { _tag: "Registered", record, landedAt, revision: 5 },
  /** A heartbeat is in flight, or got no answer. */
  unanswered: { _tag: "Unanswered", record, landedAt, on: 5 },
  /** The first write, on a key without a message, is in flight or got no answer. */
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
const conflict = (as: "first" | "replacement" | "heartbeat", on = 5): Event => ({ _tag: "Conflict", as, on })
const readBack = (seen: LastSeen, at = 1500, looks = 3): Event => ({ _tag: "ReadBack", seen, at, looks })
const looked = (seen: LastSeen, looks = 2): Event => ({ _tag: "Looked", seen, looks })
const found = (seen: LastSeen, silence: "young" | "old" = "young", onDuplicate: OnDuplicate = "wait"): Event => ({
  _tag: "Found",
  seen,
  silentFor: 300,
  maxAge: silence === "old" ? 299 : 300,
  beside: undefined,
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

/** Enrolment is the same with and without an unanswered first write. */
const enrolments = [
  ["no write was sent", states.enrolling],
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
    ["writes on revision 0 if the key has no message", state, found(nothing), state, write(0, "first")],
    ...(["delete", "purge", "expire", "reset"] as const).map((reason): Row => [
      `writes on the revision of a removal by ${reason}`,
      state,
      found(removed(reason)),
      state,
      write(9, "first")
    ]),
    ["adopts its own record", state, found(own), toRegistered, { _tag: "Enrolled" }],
    ["adopts its own record if it is older than maxAge", state, found(own, "old"), toRegistered, { _tag: "Enrolled" }]
  ])

  for (const [what, seen] of occupants) {
    const wait: Command = { _tag: "Wait", revision: 9, silentFor: 300, maxAge: 300, isLegacy: false }
    table(`An own record that enrols while ${when}, and finds ${what}`, [
      ["waits for its expiry with wait", state, found(seen, "young", "wait"), state, wait],
      ["is refused with fail", state, found(seen, "young", "fail"), state, refuse("DuplicateInstance")],
      ["replaces it with replace", state, found(seen, "young", "replace"), state, write(9, "replacement")],
      ...(["wait", "fail", "replace"] as const).map((onDuplicate): Row => [
        `overwrites it with ${onDuplicate} once it is older than maxAge`,
        state,
        found(seen, "old", onDuplicate),
        state,
        write(9, "first")
      ])
    ])
  }
}

for (const [when, state] of enrolments) {
  const found = (seen: LastSeen, silentFor: number, onDuplicate: OnDuplicate): Event => ({
    _tag: "Found",
    seen,
    silentFor: 300,
    maxAge: 299,
    beside: { revision: 4, silentFor, maxAge: 200 },
    now: 2000,
    onDuplicate
  })
  const wait: Command = { _tag: "Wait", revision: 4, silentFor: 200, maxAge: 200, isLegacy: true }
  table(`An own record that enrols while ${when}, beside a record of AegisSDK`, [
    ["waits for its expiry with wait", state, found(nothing, 200, "wait"), state, wait],
    ["is refused with fail", state, found(nothing, 200, "fail"), state, refuse("DuplicateInstance")],
    ["registers with replace", state, found(nothing, 200, "replace"), state, write(0, "first")],
    ["waits for it, too, over an expired record", state, found(another, 200, "wait"), state, wait],
    ...(["wait", "fail", "replace"] as const).map((onDuplicate): Row => [
      `registers with ${onDuplicate} once it is older than its maxAge`,
      state,
      found(removed("delete"), 201, onDuplicate),
      state,
      write(9, "first")
    ]),
    [
      "adopts its own record",
      state,
      found(own, 0, "fail"),
      { _tag: "Registered", record: draining, landedAt: 1700, revision: 9 },
      { _tag: "Enrolled" }
    ]
  ])
}

table("An own record that enrols", [
  ["enrols before its first heartbeat", states.enrolling, asked, states.enrolling, { _tag: "Enroll" }],
  [
    "dates its record from now if the record has a time in the future",
    states.enrolling,
    { _tag: "Found", seen: own, silentFor: -50, maxAge: 300, beside: undefined, now: 2000, onDuplicate: "wait" },
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 9 },
    { _tag: "Enrolled" }
  ],
  ["waits for the answer of its first write", states.enrolling, { _tag: "Sent", on: 0 }, firstUnanswered, done],
  [
    "writes again on the revision that it read, while its first write is unanswered",
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
    "enrols again when its first write conflicts",
    firstUnanswered,
    conflict("first"),
    states.enrolling,
    { _tag: "EnrollAgain" }
  ],
  [
    "replaces once: a process that registered in between is not replaced",
    firstUnanswered,
    conflict("replacement"),
    states.enrolling,
    refuse("DuplicateInstance")
  ],
  [
    "leaves before its first write without an unanswered write",
    states.enrolling,
    leaveAsked,
    { ...leaving, landedAt: Number.NEGATIVE_INFINITY },
    remove
  ],
  [
    "leaves while its first write can still land",
    firstUnanswered,
    leaveAsked,
    { ...leaving, landedAt: Number.NEGATIVE_INFINITY, mayLandOn: 0 },
    remove
  ]
])

table("A registered own record", [
  ["writes its heartbeat on its revision", registered, asked, registered, write(5, "heartbeat")],
  ["waits for the answer of its heartbeat", registered, sent, unanswered, done],
  [
    "takes the time at which the landed heartbeat was sent",
    unanswered,
    landed,
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    done
  ],
  ["reads the key after a conflict", unanswered, conflict("heartbeat"), registered, { _tag: "ReadBack", looks: 3 }],
  ["leaves without an unanswered write", registered, leaveAsked, leaving, remove],
  ["is not removed before it leaves", registered, looked(own), registered, done],
  ["is not removed before it leaves, also with an unanswered write", unanswered, looked(own), unanswered, done]
])

table("An own record with an unanswered heartbeat", [
  ["writes the next heartbeat on the same revision", unanswered, asked, unanswered, write(5, "heartbeat")],
  [
    "writes the next heartbeat on the same revision if the first write is unanswered",
    firstUnanswered,
    asked,
    firstUnanswered,
    write(0, "heartbeat")
  ],
  ["waits for the answer of the next heartbeat", unanswered, sent, unanswered, done],
  [
    "is registered if the next heartbeat lands",
    unanswered,
    landed,
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    done
  ],
  ["reads the key if the next heartbeat conflicts", unanswered, conflict("heartbeat"), registered, {
    _tag: "ReadBack",
    looks: 3
  }],
  [
    "reads the key if the first write is unanswered and the next heartbeat conflicts",
    firstUnanswered,
    conflict("heartbeat"),
    { ...registered, landedAt: Number.NEGATIVE_INFINITY, revision: 0 },
    { _tag: "ReadBack", looks: 3 }
  ],
  ["leaves while the heartbeat can still land", unanswered, leaveAsked, leavingUnanswered, remove],
  [
    "writes again without a read if the late answer of the heartbeat arrives before the conflict of the next one",
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    conflict("heartbeat"),
    { _tag: "Registered", record: draining, landedAt: 2000, revision: 6 },
    { _tag: "WriteAgain" }
  ],
  [
    "keeps what a later write has stored if the late answer of the heartbeat arrives after that",
    { _tag: "Registered", record: draining, landedAt: 3000, revision: 7 },
    landed,
    { _tag: "Registered", record: draining, landedAt: 3000, revision: 7 },
    done
  ]
])

table("A registered own record that has read the key after a conflict", [
  [
    "adopts its own record at another revision",
    registered,
    readBack(own),
    { ...registered, record: draining, landedAt: 1500, revision: 9 },
    { _tag: "WriteAgain" }
  ],
  [
    "keeps the time of its last write if that was later",
    registered,
    readBack(own, 900),
    { ...registered, record: draining, revision: 9 },
    { _tag: "WriteAgain" }
  ],
  [
    "reads again if the answer is older than what it has stored",
    { ...registered, revision: 12 },
    readBack(own),
    { ...registered, revision: 12 },
    { _tag: "ReadBackAgain", looks: 2 }
  ],
  [
    "believes the last of several older answers, because the stream can have been rolled back",
    { ...registered, revision: 12 },
    readBack(own, 1500, 0),
    { ...registered, record: draining, landedAt: 1500, revision: 9 },
    { _tag: "WriteAgain" }
  ],
  ["registers again if the key has no message", registered, readBack(nothing), { ...registered, revision: 0 }, {
    _tag: "RegisterAgain"
  }],
  ...(["purge", "expire", "reset"] as const).map((reason): Row => [
    `registers again on the revision of a removal by ${reason}`,
    registered,
    readBack(removed(reason)),
    { ...registered, revision: 9 },
    { _tag: "RegisterAgain" }
  ]),
  ["ends if it was deregistered", registered, readBack(removed("delete")), deregistered, refuse("Deregistered")],
  ["ends if another process has the id", registered, readBack(another), duplicate, refuse("DuplicateInstance")],
  [
    "ends if it finds a record without a nonce",
    registered,
    readBack(withoutNonce),
    duplicate,
    refuse("DuplicateInstance")
  ],
  [
    "ends if it finds a value that does not decode",
    registered,
    readBack(undecodable),
    duplicate,
    refuse("DuplicateInstance")
  ]
])

table("An own record that leaves", [
  ["writes no heartbeat", leaving, asked, leaving, refuse("Deregistered")],
  ["writes no heartbeat, also with an unanswered heartbeat", leavingUnanswered, asked, leavingUnanswered, {
    _tag: "Refuse",
    reason: "Deregistered"
  }],
  ["does not send a write that was prepared before", leaving, sent, leaving, refuse("Deregistered")],
  ["does not enrol", leaving, found(nothing), leaving, refuse("Deregistered")],
  ["adopts no record", leaving, found(own), leaving, refuse("Deregistered")],
  [
    "stores the record of a write that landed while leaving, and keeps leaving",
    leavingUnanswered,
    landed,
    { _tag: "Leaving", record: draining, landedAt: 2000, mayLandOn: undefined },
    done
  ],
  ["has no unanswered write after a conflict", leavingUnanswered, conflict("heartbeat"), leaving, {
    _tag: "ReadBack",
    looks: 3
  }],
  [
    "keeps leaving if it reads its own record",
    leaving,
    readBack(own),
    { ...leaving, record: draining },
    { _tag: "WriteAgain" }
  ],
  ["does not register again", leaving, readBack(nothing), leaving, { _tag: "WriteAgain" }],
  ["keeps leaving if it was deregistered", leaving, readBack(removed("delete")), leaving, refuse("Deregistered")],
  ["keeps leaving if another process has the id", leaving, readBack(another), leaving, refuse("DuplicateInstance")],
  ["reads the key again if it is asked to leave twice", leaving, leaveAsked, leaving, remove],
  [
    "still waits for the unanswered write if it is asked to leave twice",
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
  ["does nothing if the key has no message", state, looked(nothing), state, done],
  ["keeps its delete marker", state, looked(removed("delete")), state, done],
  ["keeps the record of another process", state, looked(another), state, done],
  ["keeps a record without a nonce", state, looked(withoutNonce), state, done],
  ["keeps a value that does not decode", state, looked(undecodable), state, done]
]

table("The removal of an own record", removal(leaving))
table("The removal of an own record with an unanswered write", [
  ...removal(leavingUnanswered),
  ["reads again while the last message is the condition of the write", leavingUnanswered, looked(removed("purge", 5)), {
    ...leavingUnanswered
  }, { _tag: "LookAgain", looks: 1 }],
  [
    "reads again while the record of another process is the condition of the write",
    leavingUnanswered,
    looked({ _tag: "Live", revision: 5, record: recordOf("another") }, 1),
    leavingUnanswered,
    { _tag: "LookAgain", looks: 0 }
  ],
  [
    "reads again while the key has no message and the write is conditioned on revision 0",
    { ...leavingUnanswered, mayLandOn: 0 },
    looked(nothing),
    { ...leavingUnanswered, mayLandOn: 0 },
    { _tag: "LookAgain", looks: 1 }
  ],
  ["gives up when no read is left", leavingUnanswered, looked(removed("purge", 5), 0), leavingUnanswered, done]
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
      `stays ended after any event: ${event._tag} (${index})`,
      ended,
      event,
      ended,
      refuse(ended.reason)
    ]),
    ["stays ended when asked to leave, and removes its record", ended, leaveAsked, ended, remove]
  ])
}

describe("isOver", () => {
  for (const [name, state] of Object.entries(states)) {
    const expected = state._tag === "Leaving" || state._tag === "Ended"
    it(`returns ${expected} for ${name}`, () => {
      assert.strictEqual(isOver(state), expected)
    })
  }
})
