/**
 * Chance that is the same for the same seed on every machine: 32-bit integer
 * arithmetic and no more. Each part of a simulation forks one of its own by name,
 * so that one part asking once more does not change what the others are given.
 */

/** Spreads a text over 32 bits (FNV-1a, then a finishing mix). */
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

  /** Another one, decided by this one's seed and the name alone. */
  fork(name: string): Chance {
    return new Chance(`${this.name}/${name}`)
  }

  /** From 0 to below 1 (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / two32
  }

  /** A whole number from 0 to below the limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** From the least to below the most. */
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
