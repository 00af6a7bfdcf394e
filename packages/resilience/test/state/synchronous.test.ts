/** What the store of this process can be asked without an Effect, which is the engine's own: it is the same store. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Random, Schema } from "effect"
import * as Law from "effect-resilience-testing/Law"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import type { Decision, Kernel } from "../../src/kernel/Kernel.ts"
import { type Space, Step } from "../../src/Store.ts"
import type { Memory } from "./support.ts"

/** `LAWS_SEED` repeats a run. */
const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

interface Sum extends Decision {
  readonly count: number
}
type Policy = { readonly limit: number }
type State = { readonly count: number }
type Input = { readonly add: number }

/** A sum that must not pass a limit. It never expires. */
const ledger: Kernel<Policy, State, Input, Sum> = {
  id: "test-ledger@1",
  initial: () => ({ count: 0 }),
  step: ({ limit }, state, { add }) => {
    const count = state.count + add
    return count > limit ? [{ allowed: false, count: state.count }, state] : [{ allowed: true, count }, { count }]
  },
  expiresAt: (_, { count }) => (count === 0 ? 0 : undefined)
}

const spaceOf = (): Space<Policy, State, Input, Sum> => ({
  name: "laws/sync",
  kernel: ledger,
  policy: { limit: 5 },
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
})

/** Asked with an Effect (0, 2), without one (1), or without one and only asked (3). */
const hows = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))), {
  maxLength: 12
})

const law = (make: () => Memory) =>
  Law.make(
    "what can be asked without an Effect is the same store",
    hows,
    Effect.fnUntraced(function* (hows: ReadonlyArray<number>) {
      const { commit, read, sync } = make()
      const space = spaceOf()
      let count = 0
      for (const how of hows) {
        const { now } = yield* Effect.orDie(read(space, "ada"))
        const step = new Step(space, "ada", { add: 1 })
        const committed = how % 2 === 0 ? yield* Effect.orDie(commit([step])) : undefined
        const allowed = committed === undefined ? sync.commit([step], now, how === 1) : committed.allowed
        const answer = committed === undefined ? step.result?.[0] : committed.answers[0]
        assert.strictEqual(allowed, count < 5, `whether 1 can be added to ${count} of 5`)
        if (allowed) assert.strictEqual(answer?.count, count + 1, "the sum that is answered")
        if (how !== 3 && allowed) count++
        assert.strictEqual((yield* Effect.orDie(read(space, "ada"))).state?.count ?? 0, count, "the sum that is read")
        assert.strictEqual(sync.read(space, "ada")?.count ?? 0, count, "the sum that is read without an Effect")
        const looks = new Step(space, "ada", { add: 1 })
        assert.strictEqual(sync.look(looks, now)?.count ?? 0, count, "the sum that a look sees")
        assert.strictEqual(sync.read(space, "ada")?.count ?? 0, count, "the sum after a look")
        sync.hold(step, now)
        assert.strictEqual(sync.held(step).count, count, "the sum that is read while it is held")
        sync.release(step)
      }
    }),
    { seed, runs: 60 }
  )

const memories: Readonly<Record<string, () => Memory>> = {
  "of a pipeline": memoryStore.make,
  "that joins transactions": () => memoryStore.make(transactions)
}

/** One mistake each. */
const broken: Readonly<Record<string, (make: () => Memory) => Memory>> = {
  "keeps what was only asked": (make) => {
    const memory = make()
    return { ...memory, sync: { ...memory.sync, commit: (steps, now) => memory.sync.commit(steps, now) } }
  },
  "takes what it only looks at": (make) => {
    const memory = make()
    const look: typeof memory.sync.look = (step, now) => {
      const seen = memory.sync.read(step.space, step.key)
      memory.sync.commit([step], now)
      return seen
    }
    return { ...memory, sync: { ...memory.sync, look } }
  },
  "has another memory for what is asked without an Effect": (make) => ({ ...make(), sync: make().sync })
}

for (const [which, make] of Object.entries(memories)) {
  describe(`a memory ${which} (LAWS_SEED=${seed})`, () => {
    const { check, name } = law(make)
    it.effect(name, () => check)
    for (const [mistake, breaks] of Object.entries(broken)) {
      it.effect(`one that ${mistake} is caught`, () =>
        Effect.gen(function* () {
          const violation = yield* Effect.flip(law(() => breaks(make)).check)
          assert.strictEqual(violation.law, name)
        })
      )
    }
  })
}

describe("a memory that no transaction can join", () => {
  it.effect("decides inside of one as anywhere: what it took stays taken", () =>
    Effect.gen(function* () {
      const memory = memoryStore.make()
      const space = spaceOf()
      const step = new Step(space, "ada", { add: 1 })
      const rolledBack = Effect.tx(Effect.andThen(memory.commit([step]), Effect.fail("no")))
      assert.strictEqual(yield* Effect.flip(rolledBack), "no")
      assert.strictEqual((yield* Effect.tx(memory.read(space, "ada"))).state?.count, 1)
      yield* Effect.tx(memory.clear(space))
      assert.isUndefined(memory.sync.read(space, "ada"))
    })
  )

  it.effect("tells of what it did at once, and has no change of a transaction to watch", () =>
    Effect.gen(function* () {
      const { sync } = memoryStore.make()
      let told = 0
      const unwatch = sync.watch(new Step(spaceOf(), "ada", { add: 1 }), () => told++)
      yield* Effect.tx(sync.afterCommit(Effect.sync(() => void told++)))
      assert.strictEqual(told, 1)
      unwatch()
    })
  )
})
