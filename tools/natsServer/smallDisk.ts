/**
 * A small disk for the store of a server, to fill it up: a file system in memory, in a separate user namespace. It does
 * not need root, and other processes do not see it. It exists on Linux only, if users may create namespaces.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { attempt, type StepFailed, temporaryFolder } from "./binaries.ts"

/** The machine cannot mount a small disk. The message says why. */
export class NoSmallDisk extends Data.TaggedError("NoSmallDisk")<{ readonly message: string }> {}

export interface SmallDisk {
  /** The folder of the disk. Only processes that run `through` see its files there. */
  readonly folder: string
  /** A command that runs another command where the disk is mounted. */
  readonly through: ReadonlyArray<string>
  /** Writes a file until no space is left. */
  readonly fill: Effect.Effect<void, StepFailed>
  /** Removes that file. */
  readonly free: Effect.Effect<void, StepFailed>
}

/** Mounts the disk, says so, and waits until its input closes, which happens at the latest when this process ends. */
const script = `mount -t tmpfs -o "size=$1" tmpfs "$2" && echo mounted && exec cat`

const mount = (size: number, folder: string): Effect.Effect<ChildProcess, NoSmallDisk> =>
  Effect.callback((resume) => {
    const namespaces = ["--user", "--map-root-user", "--mount"]
    const child = spawn("unshare", [...namespaces, "sh", "-c", script, "sh", `${size}`, folder])
    let problem = ""
    child.stderr.on("data", (text) => {
      problem += String(text)
    })
    child.once("error", ({ message }) => resume(new NoSmallDisk({ message })))
    child.once("close", () => resume(new NoSmallDisk({ message: problem.trim() || "unshare ended" })))
    child.stdout.once("data", () => resume(Effect.succeed(child)))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Creates the disk, which exists until the scope closes. `size` is in bytes. */
export const makeSmallDisk = Effect.fnUntraced(function*(
  size: number
): Effect.fn.Return<SmallDisk, NoSmallDisk | StepFailed, Scope.Scope> {
  const folder = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-disk-"))
  const { pid } = yield* Effect.acquireRelease(mount(size, folder), (child) => Effect.sync(() => child.kill("SIGKILL")))
  // The files of a process in another mount namespace, seen from here.
  const ballast = Path.join(`/proc/${pid}/root`, folder, "ballast")
  const grow = async () => {
    const file = await Fs.open(ballast, "a")
    try {
      // The last piece has to be small, so that no space is left.
      for (let piece = 65_536; piece >= 1; piece = Math.floor(piece / 2)) {
        while (await writes(file, piece));
      }
    } finally {
      await file.close()
    }
  }
  return {
    folder,
    through: ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", `${pid}`],
    fill: attempt("fill the disk", grow),
    free: attempt("free the disk", () => Fs.rm(ballast))
  }
})

/** Whether a piece of this size fits. */
const writes = async (file: Fs.FileHandle, size: number): Promise<boolean> => {
  try {
    const { bytesWritten } = await file.write(new Uint8Array(size))
    return bytesWritten === size
  } catch {
    return false
  }
}

/** Why this machine cannot mount a small disk; undefined if it can. */
export const whyNoSmallDisk: Effect.Effect<string | undefined> = Effect.match(Effect.scoped(makeSmallDisk(65_536)), {
  onFailure: ({ message }) => message,
  onSuccess: () => undefined
})
