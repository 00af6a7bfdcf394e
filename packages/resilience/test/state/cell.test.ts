/**
 * The contract of a cell: inside and beside `Effect.tx` it is Effect's own transactional reference.
 *
 * The same random programs (transactions with async gaps, nested ones, children, retries, failures, hot-path writes)
 * run on Effect's `TxRef`, on our `Cell`, and on keys of the memory store. What every fiber saw, how often each
 * transaction ran and why, and what is left at the end must be the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Schema, TxRef } from "effect"
import { make } from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import { Cell } from "../../src/internal/memoryCell.ts"
import type { Decision, Kernel } from "../../src/kernel/Kernel.ts"
import { type Space, Step } from "../../src/Store.ts"

/** Always a fresh object: a write of an equal number is a change in every world. */
interface Value {
  readonly n: number
}

/** Three places, however they are kept. `get` and `set` join a transaction; `hot` is a write that takes none. */
interface World {
  readonly get: (place: number) => Effect.Effect<number>
  readonly set: (place: number, n: number) => Effect.Effect<void>
  readonly hot: (place: number, n: number) => Effect.Effect<void>
  readonly versions: () => ReadonlyArray<number>
}

const PLACES = 3

/** A write outside of any transaction, by the public fields of a reference. */
const writeNow = (ref: TxRef.TxRef<Value>, n: number) =>
  Effect.withFiber((fiber) => {
    ref.value = { n }
    ref.version++
    for (const wake of ref.pending.values()) fiber.currentDispatcher.scheduleTask(wake, 0)
    ref.pending.clear()
    return Effect.void
  })

const overRefs = (make: () => TxRef.TxRef<Value>): World => {
  const refs = Array.from({ length: PLACES }, make)
  const at = (place: number) => refs[place % PLACES]!
  return {
    get: (place) => Effect.map(TxRef.get(at(place)), ({ n }) => n),
    set: (place, n) => TxRef.set(at(place), { n }),
    hot: (place, n) => writeNow(at(place), n),
    versions: () => refs.map(({ version }) => version)
  }
}

type Input = { readonly op: "get" } | { readonly op: "set"; readonly n: number }

/** Remembers a number for ever. */
const register: Kernel<null, Value, Input, Decision & Value> = {
  id: "register@1",
  initial: () => ({ n: 0 }),
  step: (_policy, state, input) => {
    const next = input.op === "get" ? state : { n: input.n }
    return [{ allowed: true, n: next.n }, next]
  },
  expiresAt: () => undefined
}

const overStore = (): World => {
  const store = make(transactions)
  const space: Space<null, Value, Input, Decision & Value> = {
    name: "registers",
    kernel: register,
    policy: null,
    keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
  }
  const step = (place: number, input: Input) => new Step(space, `place ${place % PLACES}`, input)
  const ask = (place: number, input: Input) =>
    Effect.map(Effect.orDie(store.commit([step(place, input)])), ({ answers: [answer] }) => answer!.n)
  return {
    get: (place) => ask(place, { op: "get" }),
    set: (place, n) => Effect.asVoid(ask(place, { op: "set", n })),
    hot: (place, n) => Effect.sync(() => store.sync!.commit([step(place, { op: "set", n })], 0)),
    versions: () => []
  }
}

const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
const Op = Schema.Struct({
  do: Schema.Literals([
    "get",
    "set",
    "add",
    "add",
    "yield",
    "yield",
    "hot",
    "nested",
    "caught",
    "child",
    "awaitAtLeast"
  ]),
  place: small,
  n: small
})
const Task = Schema.Struct({
  how: Schema.Literals(["tx", "tx", "tx", "hot"]),
  ending: Schema.Literals(["succeed", "succeed", "succeed", "fail", "die", "interrupt"]),
  wait: small,
  ops: Schema.Array(Op).check(Schema.isMaxLength(8))
})
type Task = typeof Task.Type
type Op = typeof Op.Type
const tasks = Arbitrary.array(Arbitrary.schema(Task), { minLength: 2, maxLength: 6 })

const runOp = (world: World, op: Op, see: (what: string) => void): Effect.Effect<void, string, Effect.Transaction> =>
  Effect.gen(function* () {
    const { n, place } = op
    switch (op.do) {
      case "get":
        return see(`${place % PLACES} is ${yield* world.get(place)}`)
      case "set":
        return yield* world.set(place, n)
      case "add":
        return yield* world.set(place, (yield* world.get(place)) + n + 1)
      case "yield":
        return yield* Effect.yieldNow
      case "hot":
        return yield* world.hot(place, n)
      case "nested":
        return yield* Effect.tx(Effect.andThen(world.set(place, n), world.set(place + 1, n)))
      case "caught":
        return yield* Effect.ignore(Effect.tx(Effect.andThen(world.set(place, n), Effect.fail("inner"))))
      case "child":
        return yield* Fiber.join(yield* Effect.forkChild(world.set(place, n + 10)))
      case "awaitAtLeast":
        if ((yield* world.get(place)) < Math.min(n, 3)) return yield* Effect.txRetry
    }
  })

/** What a world shows of a program. */
const play = (world: World, program: ReadonlyArray<Task>) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    const run = (task: Task, name: number) =>
      Effect.gen(function* () {
        for (let i = 0; i < task.wait; i++) yield* Effect.yieldNow
        if (task.how === "hot") {
          for (const op of task.ops) {
            yield* world.hot(op.place, op.n)
            yield* Effect.yieldNow
          }
          return
        }
        yield* Effect.tx(
          Effect.gen(function* () {
            const { attempt, retryReason } = yield* Effect.Transaction
            seen.push(`${name}: attempt ${attempt} (${retryReason})`)
            // A hot write of a place that the transaction has read repeats it for ever, in any world.
            for (const op of task.ops)
              if (op.do !== "hot" || attempt === 1) yield* runOp(world, op, (what) => seen.push(`${name}: ${what}`))
            if (task.ending === "fail") return yield* Effect.fail("outer")
            if (task.ending === "die") return yield* Effect.die("outer")
            if (task.ending === "interrupt") return yield* Effect.interrupt
          })
        )
      })
    const fibers = yield* Effect.forEach(program, (task, i) => Effect.forkChild(run(task, i)))
    for (let i = 0; i < 60; i++) yield* Effect.yieldNow
    const ends = fibers.map((fiber) => {
      const exit = fiber.pollUnsafe()
      return exit === undefined
        ? "waits"
        : Exit.isSuccess(exit)
          ? "success"
          : exit.cause.reasons.map((reason) => reason._tag).join()
    })
    yield* Fiber.interruptAll(fibers)
    const values: Array<number> = []
    for (let place = 0; place < PLACES; place++) values.push(yield* world.get(place))
    return { seen, ends, values, versions: world.versions() }
  })

describe("a cell", () => {
  it.effect.prop(
    "is to transactions what Effect's own reference is",
    { tasks },
    ({ tasks }) =>
      Effect.gen(function* () {
        const theirs = yield* play(
          overRefs(() => TxRef.makeUnsafe({ n: 0 })),
          tasks
        )
        const ours = yield* play(
          overRefs(() => new Cell({ n: 0 }) as TxRef.TxRef<Value>),
          tasks
        ) // only this test writes it
        assert.deepStrictEqual(ours, theirs)
      }),
    { arbitrary: { runs: 400 } }
  )

  it.effect.prop(
    "of the memory store is to transactions what Effect's own reference is",
    { tasks },
    ({ tasks }) =>
      Effect.gen(function* () {
        const { versions: _, ...theirs } = yield* play(
          overRefs(() => TxRef.makeUnsafe({ n: 0 })),
          tasks
        )
        const { versions: __, ...ours } = yield* play(overStore(), tasks)
        assert.deepStrictEqual(ours, theirs)
      }),
    { arbitrary: { runs: 400 } }
  )

  it.effect("is recognised by Effect and pipes", () =>
    Effect.gen(function* () {
      const cell = new Cell(1) as TxRef.TxRef<number>
      const ref = TxRef.makeUnsafe(1)
      assert.strictEqual(cell["~effect/TxRef"], ref["~effect/TxRef"])
      yield* cell.pipe(TxRef.update((n) => n + 1))
      assert.strictEqual(yield* TxRef.get(cell), 2)
      assert.strictEqual(cell.version, 1)
    })
  )

  it.effect("the programs of this file meet conflicts, waits, wake-ups and rollbacks", () =>
    Effect.gen(function* () {
      const samples = yield* Arbitrary.sampleEffect(tasks, { count: 300 })
      const shown = yield* Effect.forEach(samples, (program) => play(overStore(), program))
      const all = shown.flatMap(({ seen }) => seen)
      assert.isAbove(all.filter((line) => line.endsWith("(conflict)")).length, 20)
      assert.isAbove(all.filter((line) => line.endsWith("(retry)")).length, 20)
      assert.isAbove(shown.flatMap(({ ends }) => ends).filter((end) => end === "waits").length, 20)
    })
  )
})
