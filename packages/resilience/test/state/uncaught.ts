/** What reaches the process while a test runs, which vitest would take for a failure. */
import { Effect } from "effect"

export const uncaught = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const others = process.listeners("uncaughtException")
      const seen: Array<unknown> = []
      process.removeAllListeners("uncaughtException")
      process.on("uncaughtException", (defect) => seen.push(defect))
      return { others, seen }
    }),
    ({ others }) =>
      Effect.sync(() => {
        process.removeAllListeners("uncaughtException")
        for (const listener of others) process.on("uncaughtException", listener)
      })
  ),
  ({ seen }) => seen
)
