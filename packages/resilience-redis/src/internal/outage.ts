/**
 * The time in which a server is away: what is logged of it, and how long until the next attempt.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"

/** Milliseconds: the longest pause before the first attempt, and before any. */
export const FIRST = 50
const MOST = 1_000

const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  // where a name has several addresses, Node has a message for each of them and none for all
  return cause.message !== "" ? cause.message : String("code" in cause ? cause.code : cause.name)
}

export class Outage {
  private readonly name: string
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private attempts = 0
  /** What was logged. A reason is logged once in an outage. */
  private readonly reasons = new Set<string>()

  constructor(name: string, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.name = name
    this.fork = fork
  }

  /**
   * Waits for the next attempt: longer each time, by chance a half to the whole. Logs why the last one failed, if that is
   * another reason, and nothing without one.
   */
  pause(cause: unknown): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const reason = cause === undefined ? undefined : reasonOf(cause)
      if (reason !== undefined && !this.reasons.has(reason)) {
        this.reasons.add(reason)
        yield* Effect.logWarning(`${this.name} is away, and is tried again until it answers: ${reason}`)
      }
      const most = Math.min(MOST, FIRST * 2 ** Math.min(this.attempts++, 10))
      yield* Effect.sleep(most * (0.5 + 0.5 * (yield* Random.next)))
    })
  }

  /** It has answered a command. A handshake is not enough: a server that loads its data, or is no master, shakes hands, too. */
  isOver(): void {
    this.attempts = 0
    if (this.reasons.size === 0) return
    this.reasons.clear()
    this.fork(Effect.logInfo(`${this.name} answers again`))
  }
}
