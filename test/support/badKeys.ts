/** Invalid keys, refused by the check of keys before anything is sent. */

/** One character longer than the longest key. */
export const tooLong = "x".repeat(1025)

/** Keys that other clients can store, and that this library can only read. */
export const foreignKeys: ReadonlyArray<string> = [
  "x!",
  "xx$",
  "x*",
  "x>",
  "grüße",
  "\u{1f600}",
  "a,b",
  "a:b",
  "a\\b",
  "a@b",
  "$",
  "ours\u00a0",
  "\ufeffours",
  "ours\u2003",
  "**",
  "a.größe.*x"
]

/** Keys that no server stores, or that are too long. */
const noKeys: ReadonlyArray<string> = [
  "",
  " ",
  " x y",
  "x ",
  "*",
  ">",
  "x.>",
  "x.*",
  "*.x",
  ".",
  "..",
  ".x",
  ".x.",
  "x.",
  "a..b",
  "a...b",
  "a\nb",
  "a\n",
  "a\tb",
  "a\0b",
  tooLong,
  `a.${tooLong}`
]

export const badKeys: ReadonlyArray<string> = [...foreignKeys, ...noKeys]

/** Keys that reads refuse, too. */
export const unreadableKeys: ReadonlyArray<string> = [...noKeys, "ü".repeat(513), "a\ud800", "a\u007f"]
