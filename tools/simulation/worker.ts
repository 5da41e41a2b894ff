/** A process that runs the plans of each request and sends the outcome back. */
import * as Effect from "effect/Effect"
import { answer, type Request } from "./runner.ts"

process.on("message", (request) => {
  void Effect.runPromise(answer(request as Request)).then((answered) => process.send!(answered))
})
