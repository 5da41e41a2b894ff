/** The links and the anchors of one file. */
export interface Link {
  readonly target: string
  readonly line: number
  /** The file is loaded to show this one, as a script or an image is. */
  readonly loaded?: boolean | undefined
  /** The problem of the link, if it is known without other files. */
  readonly problem?: string | undefined
}

export interface Page {
  readonly links: ReadonlyArray<Link>
  readonly anchors: ReadonlySet<string>
}

export const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length
