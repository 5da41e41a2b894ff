/** Windows for pulls that have grown to their full size. */
import type { PullWindow } from "../../src/internal/nats/jetstream/pullWindow.ts"

/** More pulls than a window needs to grow to its full size. */
const enough = 60

/** Grants pulls that end at once, until the window has its full size. */
export const grow = (window: PullWindow): void => {
  for (let n = 0; n < enough; n++) {
    window.ask("large", {
      what: "growing",
      atLeast: 0,
      granted: ({ arrived, bytes, end }) => {
        arrived(bytes)
        end()
      }
    })
  }
}
