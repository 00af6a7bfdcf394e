/**
 * How long a connection may answer nothing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { InvalidPolicyError } from "effect-resilience/Rejection"

/** Below this, a collection of garbage would pass for a server that hangs. */
const LEAST = 10

/** The milliseconds of the option `silence`; 2 seconds where it is absent. */
export const silenceOf = (module: string, input: Duration.Input = "2 seconds"): number => {
  const refuse = (reason: string): never => {
    throw new InvalidPolicyError({ module, parameter: "silence", value: input, reason })
  }
  let millis: number
  try {
    millis = Duration.toMillis(Duration.fromInputUnsafe(input))
  } catch {
    return refuse("must be a duration")
  }
  if (!Number.isFinite(millis)) return refuse("must be a finite duration")
  return millis < LEAST ? refuse(`must be at least ${LEAST} milliseconds`) : millis
}

/**
 * In so many parts the time is measured. A part counts only as a whole and only without an answer, so a process that was
 * held itself (a long computation, a stopped container) takes it for one part and not for a silent server.
 */
export const PARTS = 4

/** The commands of one connection that have no answer yet, and whether any answer came lately. */
export class Silence {
  private pending = 0
  private heard = false
  private readonly asked = Latch.makeUnsafe(false)

  /** A command is sent. The time begins with the first one of those that are unanswered. */
  began(): void {
    if (this.pending++ === 0) this.asked.openUnsafe()
  }

  /** A command has ended; `isAnswer` where the server ended it. Any answer begins the time anew. */
  ended(isAnswer: boolean): void {
    this.pending--
    if (isAnswer) this.heard = true
  }

  /** No command is unanswered. */
  get isIdle(): boolean {
    return this.pending === 0
  }

  /** Ends when commands were unanswered for `millis`, and no answer to any of them came. No timer while none is. */
  lasts(millis: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (let parts = 0; parts < PARTS;) {
        if (this.isIdle) {
          this.asked.closeUnsafe()
          yield* this.asked.await
        }
        this.heard = false
        yield* Effect.sleep(millis / PARTS)
        parts = this.heard || this.isIdle ? 0 : parts + 1
      }
    })
  }
}
