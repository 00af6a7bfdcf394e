/** A kernel of one's own on a store elsewhere, with words that no kernel of the library knows. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Policy, RateLimiter } from "../../src/index.ts"
import type { Decision, Kernel } from "../../src/kernel/Kernel.ts"
import { guarded } from "../../src/remote/guard.ts"
import { type AnySpace, Command, Step } from "../../src/Store.ts"
import { remote, serviceOn } from "./remote.ts"

type Input =
  | { readonly op: "spend"; readonly units: number }
  | { readonly op: "look" }
  | { readonly op: "return"; readonly units: number }
type Answer = Decision & { readonly spent: number }
type Spender = Kernel<{ readonly most: number }, number, Input, Answer>

const spender: Spender = {
  id: "spender@1",
  initial: () => 0,
  expiresAt: () => undefined,
  step: ({ most }, spent, input) => {
    const next = input.op === "spend" ? spent + input.units : input.op === "return" ? spent - input.units : spent
    return next > most ? [{ allowed: false, spent }, spent] : [{ allowed: true, spent: next }, next]
  }
}

/** It says what is to be given back. */
const undoing: Spender = {
  ...spender,
  takes: ({ op }) => op === "spend",
  undo: (input) => (input.op === "spend" ? { op: "return", units: input.units } : undefined)
}

/** With nothing but a count: what it is asked says nothing. */
const counter: Kernel<null, number, null, Answer> = {
  id: "counter@1",
  initial: () => 0,
  expiresAt: () => undefined,
  step: (_, spent) => [{ allowed: true, spent: spent + 1 }, spent + 1]
}

const spaceOf = (kernel: AnySpace["kernel"], policy: unknown): AnySpace => ({
  name: "app/orders/own",
  kernel,
  policy,
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
})

const ownOf = (space: AnySpace, input: unknown) =>
  Policy.make<Policy.Policy>({
    kind: "own",
    options: {},
    open: () => ({
      kind: "own",
      stage: Policy.Stage.shed,
      spaces: [space],
      enter: () => ({
        steps: [new Step(space, "all", input)],
        check: () => true,
        refusal: () => undefined,
        admitted: () => {}
      })
    })
  })

const limit = RateLimiter.fixedWindow({ limit: 3, window: "1 hour" })
const circuit = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "1 second"
})
const deadlines = { onError: "fail", deadline: "50 millis" } as const

/** A service of a limit and a policy of one's own, and what is left of both. */
const serviceWith = Effect.fnUntraced(function* (space: AnySpace, input: unknown) {
  const { layer, line, store } = yield* remote
  const policies = { rateLimiter: limit, policies: { own: ownOf(space, input) }, store: deadlines }
  const { inspect, resilient } = yield* serviceOn(layer, policies)
  const left = Effect.gen(function* () {
    line.mode = "up"
    const { state = 0 } = yield* store.read(space, "all")
    return { spent: state as unknown, remaining: (yield* inspect("ada")).rateLimiter!.remaining }
  })
  return { call: Effect.exit(resilient(Effect.succeed("ran"), "ada")), left, line }
})

describe("a kernel of one's own", () => {
  const space = spaceOf(undoing, { most: 10 })
  const spend: Input = { op: "spend", units: 1 }

  it.effect("gets back what a late answer took, as the limit beside it does", () =>
    Effect.gen(function* () {
      const { call, left, line } = yield* serviceWith(space, spend)
      line.mode = "slow"
      const refused = yield* Effect.forkChild(call)
      yield* TestClock.adjust(50)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(refused)))
      yield* TestClock.adjust(90)
      assert.strictEqual(line.committed, 2)
      assert.deepStrictEqual(yield* left, { spent: 0, remaining: 3 })
    })
  )

  it.effect("gets back what an interrupted call took", () =>
    Effect.gen(function* () {
      const { call, left, line } = yield* serviceWith(space, spend)
      line.mode = "slow"
      const interrupted = yield* Effect.forkChild(call, { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      yield* TestClock.adjust(140)
      assert.deepStrictEqual(yield* left, { spent: 0, remaining: 3 })
    })
  )

  it.effect("gets nothing back without `undo`: the limit beside it does", () =>
    Effect.gen(function* () {
      const { call, left, line } = yield* serviceWith(spaceOf(spender, { most: 10 }), spend)
      line.mode = "slow"
      yield* Effect.forkChild(call)
      yield* TestClock.adjust(140)
      assert.deepStrictEqual(yield* left, { spent: 1, remaining: 3 })
    })
  )

  it.effect("is not asked for what it does not take: the question ends with the call", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const policies = { policies: { own: ownOf(space, { op: "look" }) }, store: deadlines }
      const { resilient } = yield* serviceOn(layer, policies)
      line.mode = "slow"
      yield* Effect.forkChild(Effect.exit(resilient(Effect.void, "ada")))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual([line.asked, line.committed], [1, 0])
    })
  )

  it.effect("may be asked nothing at all", () =>
    Effect.gen(function* () {
      const { call, left } = yield* serviceWith(spaceOf(counter, null), null)
      assert.deepStrictEqual(yield* call, Exit.succeed("ran"))
      assert.deepStrictEqual(yield* left, { spent: 1, remaining: 2 })
    })
  )
})

describe("what a late answer took goes back after a command to the circuit beside", () => {
  for (const [op, remaining] of [
    ["isolate", 3],
    ["close", 3],
    ["reset", 2]
  ] as const) {
    it.effect(`${op}${op === "reset" ? ": not after this one, which may be about the same key" : ""}`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const policies = { rateLimiter: limit, circuitBreaker: circuit, store: deadlines }
        const { control, inspect, resilient } = yield* serviceOn(layer, policies)
        line.mode = "slow"
        const call = yield* Effect.forkChild(resilient(Effect.void, "ada"), { startImmediately: true })
        yield* Fiber.interrupt(call)
        line.mode = "up"
        yield* control.circuitBreaker[op]("ada")
        yield* TestClock.adjust(70)
        assert.strictEqual((yield* inspect("ada")).rateLimiter!.remaining, remaining)
      })
    )
  }

  it.effect("and a command of one's own is a reset, unless it says that it is none", () =>
    Effect.gen(function* () {
      for (const [isReset, spent] of [
        [undefined, 1],
        [true, 1],
        [false, 0]
      ] as const) {
        const { line, store } = yield* remote
        const space = spaceOf(undoing, { most: 10 })
        const guard = guarded(store, "app/orders", { onError: "fail", deadline: 500, localShare: 1 })
        line.mode = "slow"
        const asked = yield* Effect.forkChild(guard.commit([new Step(space, "all", { op: "spend", units: 1 })]), {
          startImmediately: true
        })
        yield* Fiber.interrupt(asked)
        line.mode = "up"
        yield* guard.commit([new Command(space, "other", { op: "look" }, isReset)])
        yield* TestClock.adjust(70)
        assert.strictEqual((yield* store.read(space, "all")).state, spent)
      }
    })
  )
})
