/**
 * Each law of `KernelLaws` is shown a kernel that breaks it, and must say so.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { LimiterDecision, LimiterInput, LimiterKernel } from "effect-resilience/kernel/Limiter"
import {
  tokenBucket,
  type TokenBucketPolicy as Policy,
  type TokenBucketReceipt as Receipt,
  type TokenBucketState as State
} from "effect-resilience/kernel/TokenBucket"
import { KernelLaws, type Law } from "effect-resilience-testing"

type Kernel = LimiterKernel<Policy, State, Receipt>
type Input = LimiterInput<Receipt>
type Answer = LimiterDecision<Receipt>
type Step = readonly [Answer, State]

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const lawsOf = (kernel: Kernel, large = false): ReadonlyArray<Law.Law> =>
  KernelLaws.limiter<Policy, State, Receipt>(
    {
      kernel,
      policy: Arbitrary.map(
        Arbitrary.all({ limit: int(1, 30), window: int(1, 60), burst: int(1, 20), even: int(0, 1) }),
        ({ burst, even, limit, window }) => ({
          limit,
          window: even === 1 ? limit * (1 + (window % 12)) : window,
          burst
        })
      ),
      largePolicy: large
        ? Arbitrary.all({ limit: int(1, 1e6), window: int(1, 1e9), burst: int(1, 1e6) }).pipe(
            Arbitrary.map((all) => ({ ...all, burst: Math.min(all.burst, Math.floor(2 ** 52 / all.window)) }))
          )
        : undefined,
      capacity: ({ burst }) => burst,
      span: ({ burst, limit, window }) => Math.ceil((burst * window) / limit),
      atMost: ({ burst, limit, window }, millis) => BigInt(burst) + (BigInt(limit) * BigInt(millis)) / BigInt(window),
      admits: ({ burst, limit, window }, admitted, next) => {
        let units = 0
        return [next, ...admitted.toReversed()].every(({ cost, now }) => {
          units += cost
          return units <= burst + Math.floor((limit * (next.now - now)) / window)
        })
      },
      atLeast: ({ burst, limit, window }, _, every, ticks) =>
        every * limit <= (burst - 1) * window ? burst + Math.floor((limit * (ticks - 1) * every) / window) : undefined
    },
    { seed: 1 }
  )

/** The token bucket with something changed in what it answers. */
const changed = (
  change: (given: {
    readonly policy: Policy
    readonly state: State
    readonly input: Input
    readonly now: number
  }) => Step
): Kernel => ({
  ...tokenBucket,
  step: (policy, state, input, now) => change({ policy, state, input, now })
})
const answers = (change: (answer: Answer, policy: Policy, now: number) => Partial<Answer>): Kernel =>
  changed(({ input, now, policy, state }) => {
    const [answer, next] = tokenBucket.step(policy, state, input, now)
    return [{ ...answer, ...change(answer, policy, now) }, next]
  })
const states = (change: (next: State, before: State, answer: Answer, input: Input) => State): Kernel =>
  changed(({ input, now, policy, state }) => {
    const [answer, next] = tokenBucket.step(policy, state, input, now)
    return [answer, change(next, state, answer, input)]
  })
const refunds = (refund: (policy: Policy, state: State, receipt: Receipt, now: number) => State): Kernel =>
  changed(({ input, now, policy, state }) => {
    if (input.op !== "refund") return tokenBucket.step(policy, state, input, now)
    const next = refund(policy, state, input.receipt, now)
    return [tokenBucket.step(policy, next, { op: "take", cost: 0 }, now)[0], next]
  })

/** Reads a state from far ahead as one from just ahead, and says when it really ends. */
const believes: Kernel = changed(({ input, now, policy, state }) => {
  const time = Math.max(now, state.at)
  const [answer, next] = tokenBucket.step(policy, state, input, time)
  return [answer.allowed ? answer : { ...answer, retryAfter: answer.retryAfter + time - now }, next]
})

/** The law, the bug, the kernel that has it. */
const broken: ReadonlyArray<readonly [law: string, bug: string, kernel: Kernel]> = [
  [
    "a refusal leaves the state as it was",
    "a refusal is counted",
    states((next, _, { allowed, retryAfter }) => (allowed || retryAfter < 0 ? next : { ...next, debt: next.debt + 1 }))
  ],
  [
    "retryAfter is exact",
    "a millisecond late",
    answers(({ retryAfter }) => ({ retryAfter: retryAfter > 0 ? retryAfter + 1 : retryAfter }))
  ],
  [
    "waiting never hurts",
    "less is left every seventh millisecond",
    answers(({ remaining }, _, now) => ({ remaining: now % 7 === 0 ? Math.max(0, remaining - 1) : remaining }))
  ],
  [
    "no span sees more than its bound",
    "the burst is one more",
    changed(({ input, now, policy, state }) =>
      tokenBucket.step({ ...policy, burst: policy.burst + 1 }, state, input, now)
    )
  ],
  [
    "a call is admitted exactly where the definition admits it",
    "a full bucket refuses its last token",
    changed(({ input, now, policy, state }) => {
      const [answer, next] = tokenBucket.step(policy, state, input, now)
      if (input.op !== "take" || input.cost < 2 || input.cost < policy.burst || !answer.allowed) return [answer, next]
      return [{ ...answer, allowed: false, retryAfter: 1 }, state]
    })
  ],
  [
    "n of cost 1 at one instant equal one of cost n",
    "each call pays a unit more",
    states((next, _, { allowed }, input) =>
      allowed && input.op === "take" && input.cost > 0 ? { ...next, debt: next.debt + 1 } : next
    )
  ],
  [
    "a clock that steps back within the tolerance is read as the time of the newest admission, and grants no more",
    "the newest admission is forgotten",
    changed(({ input, now, policy, state }) =>
      tokenBucket.step(policy, input.op === "take" && now < state.at ? { ...state, at: now } : state, input, now)
    )
  ],
  [
    "what is further ahead than the tolerance is read as the initial state",
    "what changes nothing forgets the state",
    changed(({ input, now, policy, state }) => {
      const [answer, next] = tokenBucket.step(policy, state, input, now)
      return [answer, next === state && now < state.at - 100_000 ? tokenBucket.initial(policy) : next]
    })
  ],
  [
    "however far ahead a clock was, a key is closed for at most the tolerance and a span",
    "every state is believed",
    believes
  ],
  [
    "a step back beyond the tolerance grants at most one bound more",
    "every step back is one beyond the tolerance",
    changed(({ input, now, policy, state }) =>
      tokenBucket.step(policy, now < state.at ? tokenBucket.initial(policy) : state, input, now)
    )
  ],
  [
    "refunds in the reverse order, with nothing admitted between, restore the behaviour",
    "nothing is given back",
    refunds((_, state) => state)
  ],
  [
    "refunds of one instant in any order, with nothing admitted later, restore the behaviour",
    "only the newest call gives back",
    refunds((_, state, { after, before }) => (after.at === state.at && after.debt === state.debt ? before : state))
  ],
  [
    "what survives any refunds would have been admitted alone",
    "whatever was paid since, all is given back",
    refunds((policy, state, { cost }) => ({ ...state, debt: Math.max(0, state.debt - cost * policy.window) }))
  ],
  [
    "after `undo` nothing was spent",
    "half of it is given back",
    {
      ...tokenBucket,
      undo: (input, { receipt }) =>
        input.op === "take"
          ? { op: "refund", receipt: { ...receipt, cost: Math.floor(receipt.cost / 2), after: receipt.before } }
          : undefined
    }
  ],
  [
    "after expiresAt a state behaves like the initial one",
    "forgotten a millisecond early",
    { ...tokenBucket, expiresAt: (policy, state) => Math.max(0, (tokenBucket.expiresAt(policy, state) ?? 0) - 1) }
  ],
  [
    "resetAfter is exact: not as good as new before, and then it is",
    "a millisecond late",
    answers(({ resetAfter }) => ({ resetAfter: resetAfter > 0 ? resetAfter + 1 : 0 }))
  ],
  [
    "remaining is what can be taken now",
    "one fewer is told",
    answers(({ remaining }) => ({ remaining: Math.max(0, remaining - 1) }))
  ],
  [
    "states and receipts survive serialisation",
    "a state that JSON cannot hold",
    { ...tokenBucket, initial: () => ({ at: -Infinity, debt: 0, since: 0, refunded: 0 }) }
  ],
  [
    "full demand gets the whole bound",
    "the refill is slower",
    changed(({ input, now, policy, state }) =>
      tokenBucket.step({ ...policy, limit: Math.max(1, policy.limit - 1) }, state, input, now)
    )
  ],
  [
    "a cost above the capacity never passes, and a cost of 0 takes nothing",
    "it may pass in a day",
    answers(({ retryAfter }) => ({ retryAfter: retryAfter < 0 ? 86_400_000 : retryAfter }))
  ],
  [
    "every number is whole and none is negative",
    "a debt in fractions",
    states((next, before) => (next === before ? next : { ...next, debt: next.debt + 0.5 }))
  ],
  [
    "reset forgets, and no refund from before fills a key above its capacity",
    "a reset that keeps the debt",
    changed(({ input, now, policy, state }) =>
      input.op === "reset"
        ? tokenBucket.step(policy, state, { op: "take", cost: 0 }, now)
        : tokenBucket.step(policy, state, input, now)
    )
  ],
  [
    "a state that another policy left heals",
    "a debt above the capacity is kept",
    changed(({ input, now, policy, state }) => {
      if (state.debt <= policy.burst * policy.window || input.op !== "take") {
        return tokenBucket.step(policy, state, input, now)
      }
      const over = Math.ceil((state.debt - policy.burst * policy.window) / policy.limit)
      const [answer] = tokenBucket.step(policy, state, input, Math.max(0, now - over))
      return [{ ...answer, resetAfter: answer.resetAfter + over }, state]
    })
  ]
]

describe("the laws of a limiter kernel", () => {
  const laws = lawsOf(tokenBucket)

  for (const { check, name } of laws) it.effect(`hold for the token bucket: ${name}`, () => check)

  it("each have a kernel that breaks them", () => {
    assert.deepStrictEqual(
      broken.map(([law]) => law),
      laws.map(({ name }) => name)
    )
  })

  for (const [name, bug, kernel] of broken) {
    it.effect(`"${name}" catches: ${bug}`, () =>
      Effect.gen(function* () {
        const law = lawsOf(kernel).find((law) => law.name === name)
        const violation = yield* Effect.flip(law?.check ?? Effect.void)
        assert.strictEqual(violation.law, name)
        assert.strictEqual(violation.seed, 1)
        assert.include(violation.message, "Shrunk input")
      })
    )
  }

  it.effect("a kernel that takes, and denies it or undoes nothing, is told so; one without `undo` keeps the law", () =>
    Effect.gen(function* () {
      const check = (kernel: Kernel) => lawsOf(kernel).find(({ name }) => name.startsWith("after `undo`"))!.check
      const denies = yield* Effect.flip(check({ ...tokenBucket, takes: () => false }))
      assert.include(denies.message, "`takes` denies a take of 1 units")
      const forgets = yield* Effect.flip(check({ ...tokenBucket, undo: () => undefined }))
      assert.include(forgets.message, "`undo` gives back nothing of 1 units")
      const { takes: _takes, undo: _undo, ...without } = tokenBucket
      yield* check(without)
    })
  )

  it.effect("a bug of large numbers is found where large policies are given, and only there", () =>
    Effect.gen(function* () {
      const coarse = 2 ** 31
      const rounded = states((next) =>
        next.debt < 2 ** 40 ? next : { ...next, debt: Math.floor(next.debt / coarse) * coarse }
      )
      const laws = lawsOf(rounded, true).filter(({ name }) => name.startsWith("n of cost 1"))
      const [small, large] = yield* Effect.forEach(laws, ({ check }) => Effect.result(check))
      assert.deepStrictEqual([small?._tag, large?._tag], ["Success", "Failure"])
    })
  )

  it.effect("a kernel that writes into a state fails, since states are frozen", () =>
    Effect.gen(function* () {
      const writes = changed(({ input, now, policy, state }) => {
        const [answer, next] = tokenBucket.step(policy, state, input, now)
        if (next !== state) Object.assign(state, next)
        return [answer, state]
      })
      for (const { check } of lawsOf(writes).slice(0, 3)) {
        assert.include((yield* Effect.flip(check)).message, "read only")
      }
    })
  )
})
