/** What is no key of a bucket: refused by the check itself, and by every operation before anything is sent. */

/** One more than a key may have. */
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
