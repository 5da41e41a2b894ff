/**
 * A random number generator that gives the same numbers for a seed on every
 * machine: it uses only 32-bit integer arithmetic. Each part of a simulation forks
 * a separate generator by name, so that an additional draw in one part does not
 * change the numbers of the others.
 */

/** Hashes a text to 32 bits (FNV-1a with a final mix). */
const hash = (text: string): number => {
  let mixed = 0x811c9dc5
  for (let index = 0; index < text.length; index++) mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

const two32 = 2 ** 32

export class Chance {
  private readonly name: string
  private state: number

  constructor(seed: number | string) {
    this.name = String(seed)
    this.state = hash(this.name)
  }

  /** Returns a generator that depends only on this one's seed and the name. */
  fork(name: string): Chance {
    return new Chance(`${this.name}/${name}`)
  }

  /** Returns a number in [0, 1) (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / two32
  }

  /** Returns an integer in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** Returns a number in [least, most). */
  between(least: number, most: number): number {
    return least + this.next() * (most - least)
  }

  is(probability: number): boolean {
    return probability > 0 && this.next() < probability
  }

  pick<A>(list: ReadonlyArray<A>): A {
    return list[this.below(list.length)]!
  }
}
