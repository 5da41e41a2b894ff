/** A process that plays what it is told to, and answers with what came of it. */
import * as Effect from "effect/Effect"
import { answer, type Request } from "./runner.ts"

process.on("message", (request) => {
  void Effect.runPromise(answer(request as Request)).then((answered) => process.send!(answered))
})
