/**
 * A timeline as a person reads it: one line for each thing that happened, in
 * order, with the time in seconds and who it happened to.
 */
import type { Line } from "./world.ts"

const millisPerSecond = 1000
const widthOfTime = 11

const timeOf = (at: number): string => `${(at / millisPerSecond).toFixed(4)} s`.padStart(widthOfTime)

export const shown = (lines: ReadonlyArray<Line>, who: ReadonlyArray<string>): string => {
  const wanted = who.length === 0 ? lines : lines.filter((line) => who.includes(line.who))
  const width = Math.max(0, ...new Set(wanted.map((line) => line.who.length)))
  return wanted.map((line) => `${timeOf(line.at)}  ${line.who.padEnd(width)}  ${line.what}\n`).join("")
}
