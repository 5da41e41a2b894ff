/** Reads the links and the anchors of an HTML page, and of a style sheet: the files that they load. */
import { lineOf, type Link, type Page } from "./page.ts"

const script = /(<script\b[^>]*>)([\s\S]*?)(?=<\/script>)/g

const element = /<(\w+)\s[^>]*?\b(?:href|src)="([^"]*)"[^>]*>/g

/** Only files of other servers. Those beside the style sheet are not checked. */
const inStyles = /(?:@import\s+|url\(\s*)["']?((?:https?:)?\/\/[^"')\s]+)/g

const anchor = /<\w+\s(?:[^>]*\s)?(?:id|name)="([^"]+)"/g

export const readPage = (text: string): Page => {
  const page = text.replaceAll(script, (_, tag: string, code: string) => tag + code.replaceAll(/[^\n]/g, " "))
  const links: ReadonlyArray<Link> = [
    ...Array.from(page.matchAll(element), ({ 1: name, 2: target = "", index }) => ({
      target: target.replaceAll("&amp;", "&"),
      line: lineOf(page, index),
      loaded: name !== "a"
    })),
    ...Array.from(page.matchAll(inStyles), ({ 1: target = "", index }) => ({
      target,
      line: lineOf(page, index),
      loaded: true
    }))
  ]
  return { links, anchors: new Set(Array.from(page.matchAll(anchor), ([, name = ""]) => name)) }
}
