/** A bug that somebody had, or nearly, and the place where it would be in our sources. */

/** A change of one place: what stands there, once in that file, and what is put in its stead. */
export interface Edit {
  readonly file: string
  /** Spaces and line breaks stand for one another. */
  readonly find: string
  readonly replace: string
}

export interface Mutant extends Edit {
  /** A sentence: what the bug is. */
  readonly name: string
  /** Where it was seen. */
  readonly from: string
  /** Other places that must change as well. */
  readonly also?: ReadonlyArray<Edit>
  /** In which of `scenarios.ts` it shows. */
  readonly scenario: string
  /** How many runs it has to show itself. Default 2,000. */
  readonly runs?: number
  /** Where no scenario shows it: the test that does. */
  readonly test?: { readonly file: string; readonly name: string }
}
