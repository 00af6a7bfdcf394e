/**
 * No lost capacity: while somebody always asks, as much starts as the bound allows. Waiters that are interrupted, time
 * out or are refused, and keys that are reset, take nothing from those who stay.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { int } from "../kernel/laws.ts"
import { type Definition, definitions, numbers, type Of, seed, type Start } from "./definitions.ts"
import { Crowd, type Door, doors, maxOpsOf } from "./door.ts"

const DAY = 86_400_000
const runs = (times: number) => Math.ceil(times * Number(process.env["LAWS_RUNS"] ?? 1))

/** What one millisecond brings beside the demand. */
const Tick = Arbitrary.all({ what: int(0, 99), pick: int(0, 99), turns: int(0, 30), wait: int(1, 40) })
const ticks = Arbitrary.array(Tick, { minLength: 1, maxLength: 250 })

/** Starts so far, and since when the key counts: a reset begins anew. */
class Count {
  starts = 0
  private before = 0
  private from: number
  private readonly least: (from: number, to: number) => number
  constructor(least: (from: number, to: number) => number, from: number) {
    this.least = least
    this.from = from
  }
  /** Never one too many: who asks until he is refused, or has to wait, would never end. */
  most(now: number): void {
    assert.isAtMost(this.starts, this.before + this.least(this.from, now))
  }
  reset(now: number): void {
    this.before += this.least(this.from, now)
    this.from = now
  }
  check(now: number): void {
    assert.strictEqual(
      this.starts,
      this.before + this.least(this.from, now),
      `${now - this.from} ms after a fresh start`
    )
  }
}

describe(`at least (BOUNDS_SEED=${seed})`, () => {
  for (const [limit, definition] of Object.entries(definitions)) {
    it.effect.prop(
      `a ${limit}, asked at every millisecond, also after refusals and resets`,
      { numbers, after: int(0, 200), ticks },
      ({ after, numbers, ticks }) =>
        Effect.sync(() => {
          const { service, world } = doors["its own service"]!(definition.make(numbers, {}), 2048)
          world.advance(after)
          const count = new Count((from, to) => definition.least(numbers, from, to), world.now)
          const drain = () => {
            while (world.get(service!.allow("key"))) {
              count.starts++
              count.most(world.now)
            }
          }
          for (const { pick, what, wait } of ticks) {
            drain()
            // refused at once, since none is left
            for (let i = 0; i < pick % 3; i++)
              assert.isFalse(world.get(service!.allow("key", { cost: 1 + (wait % 9) })))
            if (what < 3) {
              world.get(service!.reset("key"))
              count.reset(world.now)
              drain()
            }
            count.check(world.now)
            world.advance(1)
          }
        }),
      { timeout: 120_000, arbitrary: { runs: runs(40), size: 300, seed } }
    )

    for (const [name, make] of Object.entries(doors)) {
      it.effect.prop(
        `a ${limit} in ${name}, with a line that never ends, of whom any may leave`,
        { numbers, after: int(0, 200), maxOps: int(0, 99), ticks },
        ({ after, maxOps, numbers, ticks }) =>
          Effect.sync(() => {
            const door = make(definition.make(numbers, { maxWait: DAY, maxQueued: 100_000 }), maxOpsOf(maxOps))
            const { service, world } = door
            world.advance(after)
            const count = new Count((from, to) => definition.least(numbers, from, to), world.now)
            const crowd = new Crowd(door)
            const patient = new Set<unknown>()
            const start = Effect.sync(() => {
              count.starts++
            })
            const offer = (maxWait: number) => crowd.fork(door.run(start, "key", { cost: 1, maxWait }))
            const demand = () => {
              while (patient.size <= definition.capacity(numbers) + 2) {
                const fiber = offer(DAY)
                patient.add(fiber)
                fiber.addObserver(() => patient.delete(fiber))
                world.settle()
                count.most(world.now)
              }
            }
            for (const { pick, turns, wait, what } of ticks) {
              demand()
              if (what < 20) offer(wait)
              for (let i = 0; i < turns && world.turn(world.now); i++) {
                /* in the middle of what is under way */
              }
              if (what > 50) crowd.interrupt(what > 75 ? 0 : pick)
              if (what > 90) crowd.interrupt(0)
              world.settle()
              demand()
              if (what === 30 && service !== undefined) {
                world.get(service.reset("key"))
                count.reset(world.now)
                world.settle()
                demand()
              }
              count.check(world.now)
              // to the wake of the next millisecond, and some turns into it
              const next = world.now + 1
              for (let i = 0; i < turns && world.turn(next); i++) {
                /* those who are let through may be interrupted before they start */
              }
              if (what > 60 && what < 80) crowd.interrupt(0)
              world.runTo(next)
            }
            for (const fiber of Array.from(crowd.live)) fiber.interruptUnsafe()
            world.runOut()
            assert.deepStrictEqual(door.debris(), door.clean)
          }),
        { timeout: 120_000, arbitrary: { runs: runs(30), size: 300, seed } }
      )
    }
  }
})

/** Calls of one key in the order of their arrival, each let through as early as the promise allows. */
class Line {
  starts: Array<Start & { readonly name: number }> = []
  private waiting: Array<{ readonly name: number; readonly cost: number }> = []
  private readonly fits: (starts: ReadonlyArray<Start>, next: Start) => boolean
  private now: number
  constructor(fits: (starts: ReadonlyArray<Start>, next: Start) => boolean, now: number) {
    this.fits = fits
    this.now = now
  }
  get length(): number {
    return this.waiting.length
  }
  arrive(name: number, cost: number): void {
    this.waiting.push({ name, cost })
    this.advance(this.now)
  }
  leave(name: number): void {
    this.waiting = this.waiting.filter((one) => one.name !== name)
    this.advance(this.now)
  }
  advance(to: number): void {
    for (; this.now <= to; this.now++) {
      for (let first = this.waiting[0]; first !== undefined; first = this.waiting[0]) {
        if (!this.fits(this.starts, { at: this.now, cost: first.cost })) break
        this.starts.push({ ...first, at: this.now })
        this.waiting.shift()
      }
    }
    this.now = to
  }
  /** How long one more would wait if nobody left. */
  waitOf(cost: number): number {
    const line = new Line(this.fits, this.now)
    line.starts = this.starts.slice()
    line.waiting = [...this.waiting, { name: -1, cost }]
    while (line.length > 0) line.advance(line.now + 1)
    return line.starts.at(-1)!.at - this.now
  }
}

const Arrival = Arbitrary.all({ gap: int(0, 99), cost: int(0, 99), what: int(0, 99), pick: int(0, 99) })

describe(`a line of waiters loses no capacity (BOUNDS_SEED=${seed})`, () => {
  const check = (
    definition: Definition,
    door: Door,
    given: {
      readonly numbers: Parameters<Definition["capacity"]>[0]
      readonly arrivals: ReadonlyArray<Of<typeof Arrival>>
    },
    equal: boolean,
    estimates: boolean
  ) => {
    const { arrivals, numbers } = given
    const { world } = door
    const line = new Line((starts, next) => definition.fits(numbers, starts, next), world.now)
    const crowd = new Crowd(door)
    const ran: Array<Start & { readonly name: number }> = []
    const waiting = new Map<unknown, number>()
    arrivals.forEach(({ cost: die, gap, pick, what }, name) => {
      world.advance(gap < 60 ? 0 : gap % 7)
      line.advance(world.now)
      if (what < 65) {
        const most = definition.capacity(numbers)
        const cost = equal ? 1 + (arrivals[0]!.cost % most) : die < 60 ? 1 : 1 + (die % most)
        const start = Effect.sync(() => {
          ran.push({ name, cost, at: world.now })
        })
        // what a store elsewhere will say is not foreseen, nor how costs fit into a window: there, calls find out by waiting
        const { burst, limit, window } = numbers
        const isExact = equal && cost === 1 && (burst === 1 || limit <= (burst - 1) * window)
        const patience = estimates && isExact && pick < 40 ? pick * 3 : DAY
        const fiber = crowd.fork(door.run(start, "key", { cost, maxWait: patience }))
        waiting.set(fiber, name)
        world.settle()
        const refused = line.waitOf(cost) > patience
        assert.strictEqual(
          fiber.pollUnsafe()?._tag === "Failure",
          refused,
          `call ${name}, which may wait ${patience} ms`
        )
        if (!refused) line.arrive(name, cost)
      } else {
        const fibers = Array.from(crowd.live)
        const fiber = fibers[pick % Math.max(1, fibers.length)]
        fiber?.interruptUnsafe()
        world.settle()
        if (fiber !== undefined) line.leave(waiting.get(fiber)!)
      }
    })
    while (line.length > 0) {
      world.advance(1)
      line.advance(world.now)
    }
    assert.deepStrictEqual(ran, line.starts)
    assert.deepStrictEqual(door.debris(), door.clean)
  }

  for (const [limit, definition] of Object.entries(definitions)) {
    for (const [name, make] of Object.entries(doors)) {
      for (const equal of [true, false]) {
        it.effect.prop(
          `a ${limit} in ${name}, calls of ${equal ? "one cost" : "any cost"}`,
          { numbers, maxOps: int(0, 99), arrivals: Arbitrary.array(Arrival, { minLength: 1, maxLength: 60 }) },
          (given) =>
            Effect.sync(() => {
              const limit = definition.make(given.numbers, { maxWait: DAY })
              check(definition, make(limit, maxOpsOf(given.maxOps)), given, equal, !name.endsWith("elsewhere"))
            }),
          { timeout: 120_000, arbitrary: { runs: runs(30), size: 300, seed } }
        )
      }
    }
  }
})
