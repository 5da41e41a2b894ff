/** Fuzz: no stored record makes the registry or the election throw. `npm run test:long` checks 1,000,000. */
import { assert, it } from "@effect/vitest"
import { checkRecords } from "../../tools/storedRecords.ts"

it("of 50,000 hostile records none makes a decoder, a comparison or an encoder throw", () => {
  const { decoded, refused } = checkRecords(50_000, 1)
  assert.isAbove(decoded, 5000)
  assert.isAbove(refused, 5000)
})
