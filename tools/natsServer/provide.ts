/** Provides the binaries of both server lines, and prints the version and origin of each. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { lines, provideNatsServer } from "./binaries.ts"

const report = Effect.forEach(lines, (line) => Effect.result(provideNatsServer(line)), { concurrency: lines.length })

for (const [index, answer] of (await Effect.runPromise(report)).entries()) {
  if (Result.isSuccess(answer)) {
    const { passedOver, path, source, version } = answer.success
    console.log(`line ${lines[index]}: nats-server ${version} from ${source}, ${path}`)
    for (const reason of passedOver) console.log(`  tried before: ${reason}`)
  } else {
    console.error(answer.failure.message)
    process.exitCode = 1
  }
}
