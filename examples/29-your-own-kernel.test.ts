/** An algorithm of your own: a pure function from state and input to decision and next state, and the laws that it keeps. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { RateLimiter } from "effect-resilience"
import type { LimiterDecision, LimiterKernel } from "effect-resilience/kernel/Limiter"
import { KernelLaws } from "effect-resilience-testing"

// #region kernel
interface Cooldown {
  readonly pause: number
}
interface Last {
  readonly at: number
  readonly taken: number
}

const freeAt = ({ pause }: Cooldown, { at, taken }: Last) => at + taken * pause

/** After each call, nobody may call for `pause` milliseconds. */
const cooldown: LimiterKernel<Cooldown, Last, Last> = {
  id: "cooldown@1",
  initial: () => ({ at: 0, taken: 0 }),
  expiresAt: freeAt,
  step: (policy, last, input, now) => {
    const answer = (state: Last, retryAfter: number, taken: number): readonly [LimiterDecision<Last>, Last] => {
      const remaining = freeAt(policy, state) > Math.max(now, state.at) ? 0 : 1
      const resetAfter = Math.max(0, freeAt(policy, state) - now)
      return [{ allowed: retryAfter === 0, retryAfter, remaining, resetAfter, receipt: { at: state.at, taken } }, state]
    }
    if (input.op === "reset") return answer({ at: 0, taken: 0 }, 0, 0)
    if (input.op === "refund") {
      const { at, taken } = input.receipt
      return answer(at === last.at && taken === 1 && last.taken === 1 ? { at, taken: 0 } : last, 0, 0)
    }
    if (input.cost === 0) return answer(last, 0, 0)
    if (input.cost > 1) return answer(last, -1, 0) // it can never pass
    const time = Math.max(now, last.at) // a clock that steps back is read as the newest time seen
    const wait = freeAt(policy, last) - now
    return freeAt(policy, last) > time ? answer(last, wait, 0) : answer({ at: time, taken: 1 }, 0, 1)
  }
}
// #endregion

// #region laws
const laws = KernelLaws.limiter({
  kernel: cooldown,
  policy: Arbitrary.all({ pause: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 }))) }),
  capacity: () => 1,
  span: ({ pause }) => pause,
  atMost: ({ pause }, millis) => 1 + Math.floor(millis / pause)
})
for (const { check, name } of laws) it.effect(`cooldown: ${name}`, () => check)
// #endregion

// #region use
const oneMailAMinute = RateLimiter.fromKernel({
  kernel: cooldown,
  policy: { pause: 60_000 },
  limit: 1,
  window: "1 minute"
})

it.effect("a kernel of one's own has all that a limit has", () =>
  Effect.gen(function* () {
    const mails = yield* RateLimiter.make(oneMailAMinute)
    assert.isTrue(yield* mails.allow("ada"))
    const refused = yield* Effect.flip(mails.acquire("ada"))
    assert.strictEqual(refused.retryAfterMillis, 60_000)
    assert.isTrue(yield* mails.allow("bob"))
  })
)
// #endregion
