// After `npm install`, before the lockfile is committed: `npm run lock`.
//
// Some tools publish their binaries as one optional package per platform. If
// the registry lacks some of these packages, npm leaves them out of the
// lockfile, and `npm ci` of npm 11 then rejects the lockfile on every machine.
// This script adds the missing entries, with the versions that the tools
// require. `npm ci` installs only those for its own platform.
import { readFileSync, writeFileSync } from "node:fs"

const read = (file) => JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), "utf8"))
const manifest = read("package.json")
const lock = read("package-lock.json")

const systems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "ppc64", "riscv64", "s390x", "x64"]

/** Reads the platform from the name of a package, for instance `@scope/tool-linux-x64-musl`. */
const platformOf = (name) => {
  const words = name.split(/[-/]/)
  const libc = words.some((word) => word.startsWith("musl"))
    ? "musl"
    : words.some((word) => word.startsWith("gnu") || word === "glibc")
    ? "glibc"
    : undefined
  return {
    os: systems.filter((system) => words.includes(system)),
    cpu: processors.filter((processor) => words.includes(processor)),
    ...(libc === undefined ? {} : { libc: [libc] })
  }
}

for (const kind of ["dependencies", "devDependencies", "peerDependencies", "engines"]) {
  lock.packages[""][kind] = manifest[kind]
}
const added = Object.entries(lock.packages)
  .filter(([path]) => path !== "")
  .flatMap(([, entry]) => Object.entries(entry.optionalDependencies ?? {}))
  .map(([name, version]) => [`node_modules/${name}`, { version, dev: true, optional: true, ...platformOf(name) }])
  .filter(([path]) => lock.packages[path] === undefined)

lock.packages = Object.fromEntries(
  [...Object.entries(lock.packages), ...added].toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
)
writeFileSync(new URL("../package-lock.json", import.meta.url), `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added.length} packages of other platforms added`)
