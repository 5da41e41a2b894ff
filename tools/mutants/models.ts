/** Known bugs, of this library or of others, as edits of the sources. */

/** Replaces a text that occurs exactly once in a file. */
export interface Edit {
  readonly file: string
  /** Any whitespace matches any other whitespace. */
  readonly find: string
  readonly replace: string
}

export interface Mutant extends Edit {
  /** One sentence that describes the bug. */
  readonly name: string
  /** Where the bug was observed, and the rule of `docs/protocols` that it breaks. */
  readonly from: string
  /** Further edits of the same bug. */
  readonly also?: ReadonlyArray<Edit>
  /** The scenario of `scenarios.ts` that should detect the bug. */
  readonly scenario: string
  /** The largest number of runs until the bug must be detected. Default 2,000. */
  readonly runs?: number
  /** The test that detects the bug if no scenario does. */
  readonly test?: { readonly file: string; readonly name: string }
}

/** For a bug that only its named test detects: no scenario has it, so the number of runs is small. */
export const byTest = { scenario: "single", runs: 1 } as const
