/** Random numbers and random commands, small enough that a short sequence meets every edge. */
import { it } from "@effect/vitest"
import { Arbitrary, Effect, Random } from "effect"
import { int } from "../kernel/laws.ts"
import type { How } from "./call.ts"
import type { CircuitNumbers, LimitNumbers, Numbers, RetryNumbers, SlotNumbers, TripNumbers } from "./numbers.ts"
import type { Command, Sequence } from "./commands.ts"
import { play } from "./play.ts"
import { Tally } from "./tally.ts"

/** `MODEL_SEED` repeats a run; a violation names it. */
export const seed: number =
  process.env["MODEL_SEED"] === undefined ? Effect.runSync(Random.nextInt) : Number(process.env["MODEL_SEED"])
/** `MODEL_RUNS`: a factor. */
const effort = Number(process.env["MODEL_RUNS"] ?? 1)

const pick = <A>(...list: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(int(0, list.length - 1), (i) => list[i]!)
const oneOf = <A>(...list: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, list.length - 1), (i) => list[i]!)
const optional = <A>(arbitrary: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  oneOf<A | undefined>(Arbitrary.Constant(undefined), arbitrary)

const waiting = oneOf(
  Arbitrary.Constant({ maxWait: 0, maxQueued: 1_000 }),
  Arbitrary.all({ maxWait: int(1, 80), maxQueued: int(1, 4) })
)

const limitOf = (kind: Arbitrary.Arbitrary<LimitNumbers["kind"]>): Arbitrary.Arbitrary<LimitNumbers> =>
  Arbitrary.map(
    Arbitrary.all({
      kind,
      limit: int(1, 5),
      window: int(1, 50),
      burst: int(1, 5),
      slices: int(1, 5),
      waiting,
      maxKeys: pick(undefined, undefined, 1, 2),
      overflow: pick("evict" as const, "reject" as const)
    }),
    ({ limit, waiting, ...rest }) => ({
      ...rest,
      ...waiting,
      // where a bucket fills up within a millisecond, the wait behind a queue is a lower bound: see kernel/Reach.test
      limit: rest.burst === 1 ? limit : Math.min(limit, (rest.burst - 1) * rest.window),
      slices: Math.min(rest.slices, rest.window)
    })
  )
export const kinds = ["tokenBucket", "fixedWindow", "slidingWindow", "slidingLog"] as const

const rateOf = (slowAfter: Arbitrary.Arbitrary<number>): Arbitrary.Arbitrary<TripNumbers> =>
  Arbitrary.map(
    Arbitrary.all({
      slowAfter,
      threshold: pick(0.5, 0.25, 0.75, 1),
      minimumCalls: int(1, 3),
      calls: pick(0, 3, 5),
      window: pick(40, 7, 100)
    }),
    (rate) => ({ kind: "rate", ...rate })
  )
const slow = rateOf(pick(5, 20))
const trip: Arbitrary.Arbitrary<TripNumbers> = oneOf<TripNumbers>(
  Arbitrary.all({ kind: Arbitrary.Constant("consecutive" as const), failures: int(1, 3), within: pick(0, 0, 20, 60) }),
  Arbitrary.all({ kind: Arbitrary.Constant("failures" as const), failures: int(1, 3), within: pick(20, 60, 1) }),
  rateOf(pick(0, 0, 5, 20))
)

const circuit: Arbitrary.Arbitrary<CircuitNumbers> = Arbitrary.map(
  Arbitrary.all({
    trips: Arbitrary.array(trip, { minLength: 1, maxLength: 2 }),
    open: int(1, 40),
    growth: pick(1, 2),
    permitted: int(1, 3),
    spare: int(0, 2),
    lease: pick(0, 30, 100),
    byUser: pick(false, true),
    maxKeys: pick(undefined, 2, 1),
    idle: pick(undefined, 50)
  }),
  ({ spare, ...rest }) => ({ ...rest, cap: 120, required: Math.max(1, rest.permitted - spare) })
)

const slots: Arbitrary.Arbitrary<SlotNumbers> = Arbitrary.map(
  Arbitrary.all({ maxConcurrent: int(1, 3), waiting }),
  ({ maxConcurrent, waiting }) => ({ maxConcurrent, ...waiting })
)

const retry: Arbitrary.Arbitrary<RetryNumbers> = Arbitrary.all({
  maxAttempts: int(1, 3),
  delay: int(1, 30),
  growth: pick(1, 2)
})

const whole: Arbitrary.Arbitrary<Numbers> = Arbitrary.map(
  Arbitrary.all({
    circuit: optional(circuit),
    limit: optional(limitOf(pick(...kinds))),
    shared: optional(limitOf(pick(...kinds))),
    slots: optional(slots),
    retry: optional(retry),
    timeout: pick(undefined, 30, 100),
    attemptTimeout: pick(undefined, 10, 60),
    perAttempt: pick(false, true)
  }),
  ({ circuit, limit, shared, ...rest }) => {
    const longest = Math.min(rest.timeout ?? Infinity, rest.attemptTimeout ?? Infinity)
    const leased = longest === Infinity || circuit === undefined || circuit.lease === 0 || circuit.lease >= longest
    return {
      ...rest,
      timeout:
        rest.timeout ?? (circuit === undefined && rest.slots === undefined && limit === undefined ? 100 : undefined),
      circuit: leased ? circuit : { ...circuit, lease: 100 },
      limit,
      shared: limit && shared && { ...shared, maxKeys: undefined }
    }
  }
)

export const settings = {
  ...(Object.fromEntries(
    kinds.map((kind) => [kind, Arbitrary.map(limitOf(Arbitrary.Constant(kind)), (limit): Numbers => ({ limit }))])
  ) as Record<(typeof kinds)[number], Arbitrary.Arbitrary<Numbers>>),
  breaker: Arbitrary.map(circuit, (circuit): Numbers => ({ circuit })),
  bulkhead: Arbitrary.map(slots, (slots): Numbers => ({ slots })),
  pipeline: whole
}

/** Only what backs off, and the circuit that it watches. */
export const backoffs: Arbitrary.Arbitrary<Numbers> = Arbitrary.all({
  circuit: Arbitrary.map(Arbitrary.all({ circuit, slow }), ({ circuit, slow }) => ({
    ...circuit,
    byUser: false,
    trips: [...circuit.trips.slice(1), slow]
  })),
  retry
})

const HOW: ReadonlyArray<How> = ["fail", "succeed", "fail", "succeed", "fail", "die", "reject", "hint", "throttle"]

const Dice = Arbitrary.all({ what: int(0, 99), who: int(0, 5), size: int(0, 99) })

const commandOf =
  (interleaved: boolean) =>
  ({ size, what, who }: { readonly what: number; readonly who: number; readonly size: number }): Command => {
    const user = who < 3 ? 0 : who - 2
    const cost = size < 60 ? 1 : 1 + (size % 5)
    const how = HOW[size % HOW.length]!
    if (what < 22) return { do: "call", user, cost }
    if (what < 38) return { do: "call", user, cost, ends: how === "hint" ? "fail" : how }
    if (what < 43 && interleaved) return { do: "rush", user, calls: size % 20 === 0 ? 50 : size % 25 }
    if (what < 43) return { do: "call", user, cost, maxWait: size }
    if (what < 47) return { do: "allow", user, cost }
    if (what < 65) {
      const asks = how === "hint" || how === "throttle"
      return asks ? { do: "end", pick: who, how, hint: size * 2 } : { do: "end", pick: who, how }
    }
    if (what < 70) return { do: "interrupt", pick: who }
    if (what < 79) return { do: "due", pick: who, off: (size % 3) - 1 }
    if (what < 87) return interleaved ? { do: "turns", turns: size % 8 } : { do: "advance", millis: size }
    if (what < 90) return { do: "advance", millis: size % 12 }
    if (what < 93) return { do: "skew", millis: (size - 50) * 1_000 }
    if (what < 96) return who < 4 ? { do: "reset", user } : { do: "reset" }
    return { do: what < 98 ? "resetCircuit" : what < 99 ? "isolate" : "close", user }
  }

export const sequences = (numbers: Arbitrary.Arbitrary<Numbers>, length: number): Arbitrary.Arbitrary<Sequence> =>
  Arbitrary.all({
    commands: Arbitrary.array(Arbitrary.map(Dice, commandOf(false)), { minLength: 1, maxLength: length }),
    numbers
  })

/**
 * A backoff holds its circuit from a turn on that nobody hears of. Where turns are short, no key goes meanwhile for
 * another: that is left to the commands one after the other.
 */
const withoutEviction = (numbers: Numbers): Numbers =>
  numbers.retry === undefined || numbers.circuit === undefined
    ? numbers
    : { ...numbers, circuit: { ...numbers.circuit, maxKeys: undefined } }

export const interleaved = (numbers: Arbitrary.Arbitrary<Numbers>, length: number): Arbitrary.Arbitrary<Sequence> =>
  Arbitrary.all({
    commands: Arbitrary.array(Arbitrary.map(Dice, commandOf(true)), { minLength: 2, maxLength: length }),
    numbers: Arbitrary.map(numbers, withoutEviction),
    maxOps: pick(30, 11, 7, 5, 4, 3)
  })

/** Plays many random sequences; what fails is shrunk, commands first. Then says what they came to. */
export const agrees = (
  name: string,
  cases: Arbitrary.Arbitrary<Sequence>,
  runs: number,
  expected: ReadonlyArray<string>
): void => {
  const tally = new Tally()
  it.effect.prop(
    name,
    { sequence: cases },
    ({ sequence }) => Effect.sync(() => tally.during(() => play(sequence, tally))),
    {
      timeout: 300_000,
      arbitrary: { runs: Math.ceil(runs * effort), size: 200, seed, maxShrinks: 4_000 }
    }
  )
  // fewer than usual need not
  it.skipIf(effort < 1)(`${name}, and the sequences came to all of it`, () => tally.mustHave(...expected))
}
