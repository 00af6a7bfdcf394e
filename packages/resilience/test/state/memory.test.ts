/** What the store of this process keeps, and what it lets go. Found by mutation testing. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Logger, References, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { World } from "effect-resilience-testing/World"
import { RateLimiter, Rejection, RemoteStore } from "../../src/index.ts"
import { guarded } from "../../src/remote/guard.ts"
import { Cell } from "../../src/internal/memoryCell.ts"
import { Table } from "../../src/internal/memoryTable.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import type { Kernel } from "../../src/kernel/Kernel.ts"
import { type KeyBounds, layerMemory, type Space, Step, Store } from "../../src/Store.ts"
import { inMemory, limiterOn, settle, spied } from "./support.ts"

const unbounded: KeyBounds = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
const policy = { limit: 10, window: 1_000 }
const spaceOf = (keys: Partial<KeyBounds> = {}) => ({
  name: "test",
  kernel: fixedWindow,
  policy,
  keys: { ...unbounded, ...keys }
})
const take = (space: ReturnType<typeof spaceOf>, key: string) => new Step(space, key, { op: "take", cost: 1 })
const sync = Effect.map(Store, (store) => inMemory(store).sync)

describe("a key", () => {
  it.effect("is kept for a step until it is forgotten, and its next life is another", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf({ maxKeys: 1 })
      const step = take(space, "a")
      assert.isFalse(store.isKept(step), "nothing was committed")
      store.commit([step], 1)
      assert.isTrue(store.isKept(step))
      store.commit([take(space, "b")], 1)
      assert.isFalse(store.isKept(step), "evicted")
      store.commit([take(space, "a")], 1)
      assert.isFalse(store.isKept(step), "another life")
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is used by a look as by a commit, and a look forgets what can go", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const endless = { ...fixedWindow, expiresAt: () => undefined }
      const space = { ...spaceOf({ idleTimeToLive: 10 }), kernel: endless }
      const [a, b] = [take(space, "a"), take(space, "b")]
      store.commit([a, b], 1)
      assert.deepStrictEqual(store.look(a, 6), { start: 0, used: 1 })
      const lookAtB = (now: number) => {
        for (let i = 0; i < 1_000; i++) store.look(b, now)
      }
      lookAtB(15)
      assert.isDefined(store.read(space, "a"))
      lookAtB(16)
      assert.isUndefined(store.look(a, 16))
      assert.isFalse(store.isKept(a))
      assert.strictEqual(store.size(space), 1)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is the same key before and after somebody needs more of it than its state", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf()
      const steps = ["a", "b", "c"].map((key) => take(space, key))
      for (const step of steps) store.commit([step], 1)
      for (const step of steps) store.commit([step], 1)
      assert.deepStrictEqual(
        steps.map(({ key }) => store.read(space, key)),
        [1, 2, 3].map(() => ({ start: 0, used: 2 }))
      )
      assert.isTrue(steps.every((step) => store.isKept(step)))
      const held = take(space, "b")
      store.hold(held, 1)
      assert.deepStrictEqual(store.held(held), { start: 0, used: 2 })
      store.commit([take(space, "b")], 1)
      assert.deepStrictEqual(store.held(held), { start: 0, used: 3 })
      assert.strictEqual(store.size(space), 3)
      for (let i = 0; i < 500; i++) store.commit([take(space, "a"), take(space, "z")], 5_000)
      assert.deepStrictEqual(
        ["a", "b", "c"].map((key) => store.read(space, key)?.used),
        [10, 3, undefined],
        "what is held is not forgotten"
      )
      assert.isFalse(store.isKept(steps[2]!))
      store.release(held)
      yield* (yield* Store).clear(space)
      assert.strictEqual(store.size(space), 0)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is one, also where it comes twice in the commit that makes it", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf()
      store.commit([take(space, "a"), take(space, "a")], 1)
      assert.strictEqual(store.size!(space), 1)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is not made by what leaves it as an absent one is, also where that has no end", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const initial = { n: 0 }
      const kernel: Kernel<null, { readonly n: number }, "look" | "write", { readonly allowed: true }> = {
        id: "endless@1",
        initial: () => initial,
        step: (_, state, input) => [{ allowed: true }, input === "look" ? state : { n: state.n + 1 }],
        expiresAt: () => undefined
      }
      const space: Space<null, { readonly n: number }, "look" | "write", { readonly allowed: true }> = {
        name: "endless",
        kernel,
        policy: null,
        keys: unbounded
      }
      store.commit([new Step(space, "a", "look")], 1)
      assert.strictEqual(store.size!(space), 0)
      store.commit([new Step(space, "a", "write")], 1)
      assert.strictEqual(store.size!(space), 1)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is not evicted while a transaction waits for it to change", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 1, window: "1 hour", maxKeys: 1 }))
      yield* limiter.allow("a")
      const waits = Effect.tx(Effect.flatMap(limiter.allow("a"), (allowed) => (allowed ? Effect.void : Effect.txRetry)))
      const fiber = yield* Effect.forkChild(waits, { startImmediately: true })
      yield* limiter.allow("b")
      yield* limiter.reset("a")
      yield* settle
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
    })
  )
})

describe("reset", () => {
  it.effect("of everything forgets the keys, and not only what they hold", () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.fixedWindow({ limit: 1, window: "1 hour" }))
      for (const key of ["a", "b", "c"]) yield* limiter.allow(key)
      assert.strictEqual(size(), 3)
      yield* limiter.reset()
      assert.strictEqual(size(), 0)
    })
  )

  it.effect("of a space answers nothing, also in a transaction", () =>
    Effect.gen(function* () {
      const { clear, sync } = inMemory(yield* Store)
      const space = spaceOf()
      sync.commit([take(space, "a")], 1)
      assert.isUndefined(yield* Effect.tx(clear(space)))
      assert.isUndefined(yield* clear(space))
    }).pipe(Effect.provide(layerMemory))
  )
})

describe("in a transaction, where too many keys are refused", () => {
  const full = { limit: 2, window: "1 hour", maxKeys: 1, overflow: "reject" } as const
  const both = RateLimiter.every({
    first: RateLimiter.fixedWindow(full),
    second: RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
  })

  it.effect("a known key needs no room", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow(full))
      assert.isTrue(yield* limiter.allow("a"))
      assert.isTrue(yield* Effect.tx(limiter.allow("a")))
      assert.isFalse(yield* Effect.tx(limiter.allow("b")))
    })
  )

  it.effect("a new one is told apart from the other limits of the call", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(both)
      yield* limiter.allow({ first: "a", second: "a" })
      const refused = yield* Effect.flip(Effect.tx(limiter.acquire({ first: "b", second: "b" })))
      assert.deepStrictEqual(
        refused.limits.map(({ limit, reason }) => [limit, reason]),
        [["first", "too-many-keys"]]
      )
    })
  )

  it.effect("a reset of one that is not known resets what else the call would have taken from", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(both)
      yield* limiter.allow({ first: "a", second: "a" })
      yield* Effect.tx(limiter.reset({ first: "b", second: "a" }))
      assert.isTrue(yield* limiter.allow({ first: "a", second: "a" }))
    })
  )

  it.effect("can be looked at: nothing is remembered of it", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow(full))
      yield* limiter.allow("a")
      const { remaining, resetAfterMillis } = yield* Effect.tx(limiter.peek("b"))
      assert.deepStrictEqual([remaining, resetAfterMillis], [2, 0])
    })
  )
})

describe("without a bound", () => {
  it.effect("no key is refused, whatever would happen above it", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.fixedWindow({ limit: 1, window: "1 hour", overflow: "reject" })
      )
      for (const key of ["a", "b", "c"]) assert.isTrue(yield* limiter.allow(key))
    })
  )
})

describe("forgetting", () => {
  it.effect("comes to every key, also to those behind keys that stay", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf()
      for (let i = 0; i < 512; i++) store.commit([take(space, `stays${i}`)], 1_000)
      for (let i = 0; i < 512; i++) store.commit([take(space, `goes${i}`)], 1)
      for (let i = 0; i < 20_000; i++) store.commit([take(space, "stays0")], 1_500)
      assert.strictEqual(store.size!(space), 512)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("takes a few keys each time, however many there are", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf()
      for (let i = 0; i < 20_000; i++) store.commit([take(space, `${i}`)], 1)
      let most = 0
      for (let size = store.size!(space); size > 1;) {
        store.commit([take(space, "0")], 5_000)
        most = Math.max(most, size - store.size!(space))
        size = store.size!(space)
      }
      assert.isAbove(most, 16)
      assert.isAtMost(most, 512)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("still knows what is nearest to fresh after any number of refunds", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const space = spaceOf({ maxKeys: 2 })
      const receipt = { start: 0, cost: 1 }
      for (let i = 0; i < 500; i++) {
        store.commit([take(space, "a")], 1)
        store.commit([new Step(space, "a", { op: "refund", receipt })], 1)
        store.commit([take(space, "b")], 1)
      }
      store.commit([take(space, "c")], 1)
      assert.strictEqual(store.size!(space), 2)
      assert.isUndefined(store.read(space, "a"), "as good as new")
      assert.isDefined(store.read(space, "b"))
      for (let i = 0; i < 20; i++) store.commit([take(space, `${i}`)], 1)
      assert.strictEqual(store.size!(space), 2)
    }).pipe(Effect.provide(layerMemory))
  )

  it("does not note ends of keys that are gone for ever", () => {
    const space = spaceOf({ maxKeys: 2 })
    const table = new Table(space)
    for (let i = 0; i < 1_000; i++) table.insertCell(`${i}`)
    table.clear()
    const cell = table.insertCell("a")
    for (let i = 0; i < 10_000; i++) {
      table.write("a", cell, { start: 1_000, used: 1 }, 0)
      table.write("a", cell, { start: 0, used: 0 }, 0)
    }
    // private, and seen by nobody but the memory of the process
    const candidates = table["candidates"]!
    assert.strictEqual(candidates["byEnd"]["heap"].length, 1)
    assert.strictEqual(candidates["byRank"]!["heap"].length, 1)
  })
})

describe("a table", () => {
  it("still knows which key is nearest to fresh when it has tidied its notes of ends", () => {
    const table = new Table(spaceOf({ maxKeys: 2 }))
    table.write("b", undefined, { start: 0, used: 1 }, 0)
    for (let i = 0; i < 200; i++) {
      table.write("a", table.find("a"), { start: 9_000, used: 1 }, 0)
      table.write("a", table.find("a"), { start: 5_000, used: 1 }, 0)
    }
    table.write("c", undefined, { start: 5_000, used: 1 }, 0)
    assert.deepStrictEqual(
      ["a", "b", "c"].map((key) => table.find(key) !== undefined),
      [true, false, true]
    )
  })

  it("keeps nothing but the states of its further keys, where no bound needs more", () => {
    const table = new Table(spaceOf())
    const state = { start: 0, used: 1 }
    for (const key of ["a", "b"]) table.write(key, undefined, state, 0)
    assert.instanceOf(table.find("a"), Cell, "the first is found at once")
    assert.strictEqual(table.find("b"), state)
    for (const keys of [{ maxKeys: 9 }, { idleTimeToLive: 9 }]) {
      const bounded = new Table(spaceOf(keys))
      for (const key of ["a", "b"]) bounded.write(key, undefined, state, 0)
      assert.instanceOf(bounded.find("b"), Cell)
    }
  })
})

describe("a cell", () => {
  it.effect("is one of Effect's transactional references", () =>
    Effect.gen(function* () {
      const cell: TxRef.TxRef<unknown> = new Table(spaceOf()).insertCell("a")
      assert.isTrue("~effect/TxRef" in cell)
      assert.strictEqual(cell["~effect/TxRef"], "~effect/TxRef")
      yield* Effect.tx(cell.pipe(TxRef.set<unknown>(7)))
      assert.strictEqual(yield* Effect.tx(cell.pipe(TxRef.get)), 7)
    })
  )
})

describe("a write", () => {
  it.effect("of the store itself does not call those who watch for transactions", () =>
    Effect.gen(function* () {
      const store = yield* sync
      const step = take(spaceOf(), "a")
      store.hold(step, 1)
      let called = 0
      store.watch(step, () => called++)
      store.commit([take(step.space as ReturnType<typeof spaceOf>, "a")], 1)
      yield* settle
      assert.strictEqual(called, 0)
    }).pipe(Effect.provide(layerMemory))
  )

  it("calls whoever waits for it once, from wherever it is made", () => {
    const table = new Table(spaceOf())
    const cell = table.insertCell("a")
    let woken = 0
    cell.pending.set("somebody", () => woken++)
    table.write("a", cell, { start: 0, used: 1 }, 0)
    table.write("a", cell, { start: 0, used: 2 }, 0)
    assert.deepStrictEqual([woken, cell.pending.size], [1, 0])
  })
})

describe("a store elsewhere", () => {
  const limit = (maxWait: Duration.Input) => RateLimiter.fixedWindow({ limit: 1, window: "1 minute", maxWait })

  /** One that hangs, and counts who stopped asking. */
  const hanging = Effect.map(Store, (memory) => {
    const seen = { left: 0 }
    const store = RemoteStore.make({
      ...memory,
      read: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.left++))
    })
    return { seen, store }
  })

  it.effect("is not asked what takes nothing by a caller who has gone, or after the deadline", () =>
    Effect.gen(function* () {
      const { seen, store } = yield* hanging
      const limiter = yield* limiterOn(store, limit(0))
      const fiber = yield* Effect.forkChild(limiter.peek("a"), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      yield* settle
      assert.strictEqual(seen.left, 1)
      const late = yield* Effect.forkChild(limiter.peek("a"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(late)).remaining, 1, "read in this process")
      assert.strictEqual(seen.left, 2)
    }).pipe(Effect.provide(layerMemory))
  )

  it("leaves no timer behind, neither when it answers nor when its caller goes", () => {
    const world = new World()
    const memory = world.get(Effect.provide(Store, layerMemory))
    const answers: Store["Service"]["commit"] = (steps) => Effect.andThen(Effect.yieldNow, memory.commit(steps))
    for (const commit of [answers, () => Effect.never, () => Effect.uninterruptible(Effect.never)]) {
      const limiter = world.get(limiterOn(RemoteStore.make({ ...memory, commit }), limit(0)))
      const fiber = world.fork(limiter.allow("a"))
      for (let i = 0; i < 20; i++) world.turn(world.now)
      if (commit === answers) assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(true))
      fiber.interruptUnsafe()
      for (let i = 0; i < 20; i++) world.turn(world.now)
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(world.sleeping, 0)
    }
  })

  it.effect("that refused a call may be away when the call asks again: then it is decided in this process", () =>
    Effect.gen(function* () {
      const memory = yield* Store
      let down = false
      const store = RemoteStore.make({
        ...memory,
        commit: (steps) =>
          Effect.suspend(() =>
            down ? Effect.fail(new Rejection.StoreError({ reason: "unavailable" })) : memory.commit(steps)
          )
      })
      const limiter = yield* limiterOn(store, limit("1 hour"))
      yield* limiter.acquire("a")
      const fiber = yield* Effect.forkChild(limiter.acquire("a"), { startImmediately: true })
      down = true
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("is asked for nothing by a commit of nothing", () =>
    Effect.gen(function* () {
      const memory = yield* Store
      const store = guarded(RemoteStore.make(memory), "app/Api")
      assert.deepInclude(yield* store.commit([]), { allowed: true, answers: [] })
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("that goes away is no event where nobody listens, and nothing else either", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => void logged.push(message))
      const { store } = yield* hanging
      const limiter = yield* limiterOn(store, limit(0))
      const fiber = yield* Effect.forkChild(Effect.provide(limiter.allow("a"), Logger.layer([logger])))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* Fiber.join(fiber))
      yield* settle
      assert.deepStrictEqual(logged, [])
    }).pipe(Effect.provide(layerMemory), Effect.provideService(References.UnhandledLogLevel, "Error"))
  )
})
