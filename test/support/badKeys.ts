/** Invalid keys, refused by the check of keys and by every operation before anything is sent. */

/** One character longer than the longest key. */
export const tooLong = "x".repeat(1025)

export const badKeys: ReadonlyArray<string> = [
  "",
  " ",
  " x y",
  "x ",
  "x!",
  "xx$",
  "*",
  ">",
  "x.>",
  "x.*",
  "*.x",
  "x*",
  "x>",
  ".",
  "..",
  ".x",
  ".x.",
  "x.",
  "a..b",
  "a...b",
  "grüße",
  "a\nb",
  "a\n",
  "a\tb",
  "a\0b",
  "\u{1f600}",
  "a,b",
  "a:b",
  "a\\b",
  "a@b",
  tooLong,
  `a.${tooLong}`
]
