/** The subjects that a reader has, compared with a Map. */
import { assert, describe, it } from "@effect/vitest"
import { GivenSubjects } from "../../../../src/internal/nats/bucket/givenSubjects.ts"
import { Chance } from "../../../../src/testing/internal/world/chance.ts"

const base = 1_795_000_000_000_000

/** All subjects that are missing in an empty stream: all given ones. */
const all = (given: GivenSubjects) => given.notIn(new Set()).map(({ revision, subject }) => `${subject}@${revision}`)

describe("the given subjects", () => {
  it("are those of a Map after any changes", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const chance = new Chance(seed)
      const given = new GivenSubjects(base)
      const model = new Map<string, number>()
      let revision = base - 5000
      const subjects = Array.from({ length: chance.below(3000) }, (_, n) => `s${n}`)
      for (const subject of subjects) {
        given.add(subject, ++revision)
        model.set(subject, revision)
      }
      const others = Array.from({ length: 3000 }, (_, n) => `t${n}`)
      for (let changes = chance.below(8000); changes > 0; changes--) {
        const subject = chance.pick(chance.is(0.5) || subjects.length === 0 ? others : subjects)
        if (chance.is(0.4)) {
          given.set(subject, ++revision)
          model.set(subject, revision)
        } else {
          given.delete(subject)
          model.delete(subject)
        }
        assert.strictEqual(given.has(subject), model.has(subject))
      }
      const expected = [...model].toSorted(([, a], [, b]) => a - b).map(([subject, at]) => `${subject}@${at}`)
      assert.deepStrictEqual(all(given), expected, `seed ${seed}`)
      if (model.size > 0) assert.isTrue(given.hasAny)
      const present = new Set([...model.keys()].filter(() => chance.is(0.5)))
      assert.strictEqual(given.notIn(present).length, model.size - present.size)
    }
  })

  it("do not grow while keys come and go", () => {
    const given = new GivenSubjects(base)
    for (let n = 0; n < 100; n++) given.add(`kept${n}`, base + n)
    for (let n = 0; n < 100_000; n++) {
      given.set(`k${n}`, base + n)
      given.delete(`k${n}`)
    }
    assert.isAtMost(given.entries, 1200)
    assert.strictEqual(all(given).length, 100)
  })

  it("take over those of an older list that they do not have", () => {
    const older = new GivenSubjects(base)
    older.add("a", base + 1)
    older.add("b", base + 2)
    older.add("c", base + 3)
    older.delete("c")
    const given = new GivenSubjects(base + 100)
    given.add("b", base + 101)
    given.set("d", base + 102)
    given.addOlder(older)
    assert.deepStrictEqual(all(given), [`a@${base + 1}`, `b@${base + 101}`, `d@${base + 102}`])
  })

  it("are empty at the beginning, and after all were removed", () => {
    const given = new GivenSubjects(base)
    assert.isFalse(given.hasAny)
    given.set("a", base)
    assert.isTrue(given.hasAny)
    given.delete("a")
    assert.isFalse(given.hasAny)
  })
})
