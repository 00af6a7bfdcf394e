/**
 * The laws of several policies on one key: what a rolling deployment does to a store that processes share.
 *
 * Both versions of a service call their limit by one name. Each decides on a state of its own, which begins with what the
 * last one owed when it wrote.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { breaker, type BreakerPolicy } from "effect-resilience/kernel/Breaker"
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import { type AnySpace, Command, Step } from "effect-resilience/Store"
import { int } from "./limiterTraffic.ts"
import { AGES, type Limiter, limiters, rolls } from "./storeKernels.ts"
import { type Draft, draft, type Lab } from "./storeLab.ts"
import { must, mustEqual, show } from "./storeModel.ts"

/** What a limit of `most` in `window` may let through from `from` to `to`, both included, by the kernel's own bound. */
const boundOf = (limiter: Limiter, most: number, window: number, from: number, to: number): number => {
  const periods = (period: number) => most * (Math.floor((to - from) / period) + 1)
  switch (limiter.kernel.id.split("@")[0]) {
    case "token-bucket":
      return most + Math.floor(((to - from) * most) / window)
    case "fixed-window":
      return most * (Math.floor(to / window) - Math.floor(from / window) + 1)
    case "sliding-window":
      return periods(4 * Math.ceil(window / 4))
    default:
      return periods(window)
  }
}

/** The longest refusal of a cost that fits: until all is free again. */
const spanOf = (limiter: Limiter, window: number): number =>
  limiter.kernel.id.startsWith("sliding-window") ? 5 * Math.ceil(window / 4) : window

interface Version {
  readonly space: AnySpace
  readonly most: number
  readonly window: number
}

const version = (lab: Lab, limiter: Limiter, most: number, window: number): Version => ({
  space: lab.limit(limiter.kernel, limiter.policy(most, window), "limit"),
  most,
  window
})

const take = (lab: Lab, { space }: Version, cost: number) =>
  Effect.map(lab.commit([new Step(space, "ada", { op: "take", cost })]), ({ answers: [answer], now }) => ({
    now,
    answer: answer as LimiterDecision<unknown> // of a limiter
  }))

interface Taken {
  readonly by: number
  readonly now: number
  readonly cost: number
}

const mustKeepBounds = (limiter: Limiter, versions: ReadonlyArray<Version>, taken: ReadonlyArray<Taken>): void => {
  for (const [i, { now: from }] of taken.entries()) {
    const sums = versions.map(() => 0)
    for (const { by, cost, now } of taken.slice(i)) {
      sums[by]! += cost
      const bounds = versions.map(({ most, window }) => boundOf(limiter, most, window, from, now))
      must(
        sums.every((sum, j) => sum <= bounds[j]!),
        () => `from ${from} to ${now} the policies let ${show(sums)} through, and may ${show(bounds)}`
      )
    }
  }
}

const whichLimiter = int(0, limiters.length - 1)
const pair = { limiter: whichLimiter, most: [int(1, 8), int(1, 8)], window: [int(5, 100), int(5, 100)] } as const

const byTurns = draft(
  "two policies on one key let through what each may by itself, and none is refused for longer than its own span",
  Arbitrary.all({
    limiter: pair.limiter,
    most: Arbitrary.all(pair.most),
    window: Arbitrary.all(pair.window),
    calls: rolls(24, 2)
  }),
  60,
  Effect.fnUntraced(function* (lab: Lab, { calls, limiter: which, most, window }) {
    const limiter = limiters[which]!
    if (most[0] === most[1] && window[0] === window[1]) return
    const versions = [0, 1].map((i) => version(lab, limiter, most[i]!, window[i]!))
    const taken: Array<Taken> = []
    for (const { pick, size, what } of calls) {
      if (what < 60) yield* lab.advance(1 + (size % 12))
      const by = pick % 2
      const { space: _, ...mine } = versions[by]!
      const cost = what % 4 === 0 ? 1 + (size % mine.most) : 1
      const { answer, now } = yield* take(lab, versions[by]!, cost)
      if (answer.allowed) {
        taken.push({ by, now, cost })
        continue
      }
      const span = spanOf(limiter, mine.window)
      must(
        answer.retryAfter >= 1 && answer.retryAfter <= span,
        () => `policy ${by} (${show(mine)}) says to come back in ${answer.retryAfter} ms, and its span is ${span} ms`
      )
      if (what % 3 !== 0) continue
      yield* lab.advance(answer.retryAfter)
      const again = yield* take(lab, versions[by]!, cost)
      must(again.answer.allowed, () => `refused at ${now} for ${answer.retryAfter} ms, and again at ${again.now}`)
      taken.push({ by, now: again.now, cost })
    }
    mustKeepBounds(limiter, versions, taken)
  })
)

const notStarved = draft(
  "a policy is let through within its own span, however busy another policy of the key is",
  Arbitrary.all({ limiter: whichLimiter, most: int(1, 4), busy: int(1, 8), longer: int(1, 5) }),
  60,
  Effect.fnUntraced(function* (lab: Lab, { busy, limiter: which, longer, most }) {
    const limiter = limiters[which]!
    const other = version(lab, limiter, most + busy, 20 * longer)
    const mine = version(lab, limiter, most, 20)
    for (let i = 0; i < other.most; i++) yield* take(lab, other, 1)
    const first = yield* take(lab, mine, 1)
    const { retryAfter } = first.answer
    let last = first
    // each step lets some of the other's units go, which it takes at once
    while (!last.answer.allowed) {
      yield* lab.advance(5)
      for (let i = 0; i < other.most; i++) yield* take(lab, other, 1)
      last = yield* take(lab, mine, 1)
      // a state that has ended is kept for as long again as it lasted: on a slow store, this question may come later
      if (last.answer.allowed || last.now >= first.now + 2 * retryAfter) return
      must(
        last.now < first.now + retryAfter,
        () => `refused at ${first.now} for ${retryAfter} ms, and again at ${last.now}`
      )
    }
  })
)

const spent = draft(
  "what was spent is found by the first question of the next policy",
  Arbitrary.all({ limiter: whichLimiter, before: int(1, 40), after: int(1, 40), asked: int(0, 60), longer: int(1, 9) }),
  60,
  Effect.fnUntraced(function* (lab: Lab, { after, asked, before, limiter: which, longer }) {
    const limiter = limiters[which]!
    const old = version(lab, limiter, before, AGES)
    const next = version(lab, limiter, after, (1 + longer) * AGES)
    let used = 0
    if (asked > 0 && asked <= before && (yield* take(lab, old, asked)).answer.allowed) used = asked
    const free = Math.max(0, next.most - used)
    mustEqual((yield* take(lab, next, 0)).answer.remaining, free, `what is left of ${after} when ${used} were used`)
    if (free > 0) mustEqual((yield* take(lab, next, free)).answer.allowed, true, `whether ${free} more are let through`)
    mustEqual((yield* take(lab, next, 1)).answer.allowed, false, "whether one more is let through")
    // the old one's own state is as it left it, if it left one
    if (used === 0) return
    mustEqual((yield* take(lab, old, 0)).answer.remaining, before - used, "what is left for the policy before")
  })
)

const several = draft(
  "four policies of one key keep a state each, and a fifth takes the place of the one that wrote first",
  Arbitrary.all({ limiter: whichLimiter, costs: Arbitrary.array(int(1, 9), { minLength: 5, maxLength: 5 }) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { costs, limiter: which }) {
    const versions = costs.map((_, i) => version(lab, limiters[which]!, 100 + i, AGES))
    let used = 0
    const left: Array<number> = []
    for (const [i, cost] of costs.entries()) {
      used += cost // each begins with what the one before owed
      mustEqual((yield* take(lab, versions[i]!, cost)).answer.remaining, 100 + i - used, `what policy ${i} has left`)
      left.push(100 + i - used)
    }
    for (const i of [1, 2, 3, 4]) {
      mustEqual((yield* take(lab, versions[i]!, 0)).answer.remaining, left[i], `what policy ${i} of 5 has left`)
    }
  })
)

const refunds = draft(
  "a refund goes to the state of the policy that admitted the call",
  Arbitrary.all({ limiter: whichLimiter, mine: int(1, 9), others: int(1, 9) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { limiter: which, mine, others }) {
    const limiter = limiters[which]!
    const [one, other] = [version(lab, limiter, 20, AGES), version(lab, limiter, 30, 2 * AGES)]
    const { answer } = yield* take(lab, one, mine)
    yield* take(lab, other, others)
    yield* lab.commit([new Step(one.space, "ada", { op: "refund", receipt: answer.receipt })])
    mustEqual((yield* take(lab, one, 0)).answer.remaining, 20, "what the policy has left that was given back")
    mustEqual((yield* take(lab, other, 0)).answer.remaining, 30 - mine - others, "what the other policy has left")
  })
)

const resets = draft(
  "a reset frees a key for every policy",
  Arbitrary.all({ limiter: whichLimiter, by: int(0, 1), most: int(1, 9) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { by, limiter: which, most }) {
    const limiter = limiters[which]!
    const versions = [version(lab, limiter, most, AGES), version(lab, limiter, most + 1, 2 * AGES)]
    for (const one of versions) yield* take(lab, one, 1)
    yield* lab.commit([new Command(versions[by]!.space, "ada", { op: "reset" })])
    for (const one of versions) {
      mustEqual((yield* take(lab, one, 0)).answer.remaining, one.most, "what is left after a reset")
    }
  })
)

const algorithms = draft(
  "another algorithm begins anew",
  Arbitrary.all({ one: whichLimiter, other: int(1, limiters.length - 1), most: int(1, 9) }),
  10,
  Effect.fnUntraced(function* (lab: Lab, { most, one, other }) {
    const before = version(lab, limiters[one]!, most, AGES)
    const after = version(lab, limiters[(one + other) % limiters.length]!, most, AGES)
    yield* take(lab, before, most)
    mustEqual((yield* take(lab, after, 0)).answer.remaining, most, "what is left to another algorithm")
    mustEqual((yield* take(lab, before, 0)).answer.remaining, 0, "what is left to the algorithm before")
  })
)

/** Opens after so many failures in a row, for so many milliseconds. */
const circuit = (failures: number, open: number): BreakerPolicy => ({
  trips: [{ kind: "consecutive", failures, within: 0 }],
  openLow: [open],
  openHigh: [open],
  openGrowth: 0,
  openCap: open,
  permitted: 1,
  required: 1,
  lease: 60_000
})

interface Admitted extends Decision {
  readonly phase: string
  readonly generation: number
  readonly probe: number
  readonly retryAfter: number
}

const circuits = draft(
  "two policies of one circuit count by themselves, and the next one finds it as it was left",
  Arbitrary.all({ failures: int(2, 6), more: int(1, 4), open: int(1, 9), shorter: int(1, 9) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { failures, more, open, shorter }) {
    const spaces = [failures, failures + more].map((n) => lab.space(breaker, circuit(n, open * AGES), "circuit"))
    const [one, other] = [spaces[0]!, spaces[1]!]
    type Circuit = typeof one
    const admit = (space: Circuit) => lab.ask(space, "ada", { op: "admit", draw: 0 })
    const report = (space: Circuit, { generation, probe }: Admitted, outcome: "success" | "failure") => {
      const input = {
        op: "record",
        generation,
        probe,
        outcome,
        duration: 0,
        slowFed: 0,
        retryAfter: 0,
        draw: 0
      } as const
      return lab.ask(space, "ada", input)
    }
    const phases = Effect.forEach(spaces, (space) => Effect.map(admit(space), ({ phase }) => phase))
    const permits = [yield* admit(one), yield* admit(other)] as const
    for (let i = 1; i < failures; i++) {
      yield* report(one, permits[0], "failure")
      // one more in a row for a state that both share, and never more than one for a state of the other's own
      yield* report(other, permits[1], i % 2 === 0 ? "success" : "failure")
      if (i % 2 === 0) yield* report(other, permits[1], "failure")
    }
    mustEqual(yield* phases, ["Closed", "Closed"], `the phases after ${failures - 1} failures in a row`)
    yield* report(one, permits[0], "failure")
    mustEqual(yield* phases, ["Open", "Closed"], `the phases after ${failures} failures in a row of the first's calls`)
    // the first policy wrote last: a third one finds the circuit open, for no longer than its own openings last
    const third = lab.space(breaker, circuit(failures, shorter * AGES), "circuit")
    const found = yield* admit(third)
    mustEqual(found.phase, "Open", "what a new policy finds")
    const longest = Math.min(open, shorter) * AGES
    must(
      found.retryAfter > 0 && found.retryAfter <= longest,
      () => `a new policy is refused for ${found.retryAfter} ms, and its openings last ${longest} ms`
    )
    // an operator's step applies to every policy of the key
    for (const [op, phase] of [
      ["isolate", "Isolated"],
      ["close", "Closed"]
    ] as const) {
      yield* lab.commit([new Command(op === "isolate" ? other : one, "ada", { op })])
      for (const space of [one, other, third]) mustEqual((yield* admit(space)).phase, phase, `the phase after ${op}`)
    }
  })
)

/** Only where processes share the store. */
export const lawsOfPolicies: ReadonlyArray<Draft> = [
  byTurns,
  notStarved,
  spent,
  several,
  refunds,
  resets,
  algorithms,
  circuits
]
