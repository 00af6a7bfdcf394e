/**
 * A clock that stands still until it is told: an hour may pass without waiting for it.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

export interface ManualClock extends Clock.Clock {
  /** Milliseconds. */
  now: number
}

export const makeManualClock = (): ManualClock => {
  const clock: ManualClock = {
    now: 1_000,
    currentTimeMillisUnsafe: () => clock.now,
    currentTimeMillis: Effect.sync(() => clock.now),
    currentTimeNanosUnsafe: () => BigInt(clock.now) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(clock.now) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(clock.now) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(clock.now) * 1_000_000n),
    sleep: () => Effect.never
  }
  return clock
}
