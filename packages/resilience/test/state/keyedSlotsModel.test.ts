/**
 * A bulkhead with slots of each key against a model that foretells, from the numbers alone, when each attempt begins, how each
 * call ends, and what `inspect` tells of each key.
 *
 * In the model no two things happen at the same time: a program ends before its first tie.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, type Fiber, Random, Schema } from "effect"
import { Backoff, Bulkhead, RateLimiter, Retry } from "../../src/index.ts"
import { readKey } from "../../src/internal/key.ts"
import type { Policies } from "../../src/Policies.ts"
import { clean, elsewhere, Stage } from "../laws/harness.ts"
import { keyedOf, keysInUse } from "./keyedSlots.ts"

const seed = Number(process.env["MODEL_SEED"] ?? Effect.runSync(Random.nextInt))
const runs = (times: number): number => Math.ceil(times * Number(process.env["LAWS_RUNS"] ?? 1))

const die = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))
const time = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9_999 }))
const gap = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_499 }))
const Setting = Schema.Struct({
  slots: die,
  waits: die,
  queued: die,
  by: die,
  attempts: die,
  backoff: time,
  maxOps: die
})
/** After `gap`: a call of `key` whose attempts take `millis` and of which the first `fails` fail; or an interruption of the call `pick`. */
const Act = Schema.Struct({ gap, what: die, key: die, millis: time, fails: die, pick: die })
const program = Arbitrary.all({
  setting: Arbitrary.schema(Setting),
  acts: Arbitrary.array(Arbitrary.schema(Act), { minLength: 1, maxLength: 60 })
})
interface Program {
  readonly setting: typeof Setting.Type
  readonly acts: ReadonlyArray<typeof Act.Type>
}

interface Numbers {
  readonly maxConcurrent: number
  readonly maxWait: number
  readonly maxQueued: number
  readonly by: "key" | "tenant"
  readonly attempts: number
  readonly backoff: number
  /** What an admission takes that asks a remote store, and whether each attempt asks. */
  readonly trip: number
  readonly perAttempt: boolean
}

const oneOf = <A>(die: number, ...list: ReadonlyArray<A>): A => list[die % list.length]!
const KEYS = ["acme", "other", "__proto__"].flatMap((tenant) => ["ada", "bob"].map((user) => ({ tenant, user })))
const partOf = ({ by }: Numbers, key: (typeof KEYS)[number]): string =>
  by === "tenant" ? key.tenant : `${key.tenant} ${key.user}`

interface Ask {
  readonly id: number
  readonly part: string
  readonly millis: number
  readonly fails: number
}
type State = "waits" | "trip" | "runs" | "backoff" | "ended"

interface ModelCall extends Ask {
  attempt: number
  state: State
  /** Only the last thing that the call waits for counts. */
  turn: number
}
interface Part {
  running: number
  readonly queue: Array<ModelCall>
}

class Model {
  now = 0
  /** The first time at which two things happen. */
  tie = Infinity
  readonly log: Array<string> = []
  readonly came: Array<string> = []
  readonly parts = new Map<string, Part>()
  private readonly numbers: Numbers
  private readonly calls = new Map<number, ModelCall>()
  private readonly taken = new Set<number>()
  private due: Array<{ readonly at: number; readonly what: () => void }> = []

  constructor(numbers: Numbers) {
    this.numbers = numbers
  }

  private at(at: number): void {
    if (this.taken.has(at)) this.tie = Math.min(this.tie, at)
    this.taken.add(at)
  }

  private after(call: ModelCall, millis: number, what: () => void): void {
    const turn = ++call.turn
    const at = this.now + millis
    if (at === Infinity) return
    this.at(at)
    this.due.push({ at, what: () => (call.turn === turn ? what() : undefined) })
  }

  runTo(time: number): void {
    for (;;) {
      const next = this.due.reduce<{ readonly at: number; readonly what: () => void } | undefined>(
        (first, one) => (one.at <= time && (first === undefined || one.at < first.at) ? one : first),
        undefined
      )
      if (next === undefined || next.at >= this.tie) break
      this.due = this.due.filter((one) => one !== next)
      this.now = next.at
      next.what()
    }
    this.now = time
  }

  private partOf({ part }: ModelCall): Part {
    const known = this.parts.get(part)
    if (known !== undefined) return known
    const fresh = { running: 0, queue: [] }
    this.parts.set(part, fresh)
    return fresh
  }

  arrive(ask: Ask): void {
    this.at(this.now)
    const call: ModelCall = { ...ask, attempt: 0, state: "ended", turn: 0 }
    this.calls.set(ask.id, call)
    this.ask(call)
  }

  private ask(call: ModelCall): void {
    const { maxConcurrent, maxQueued, maxWait } = this.numbers
    call.attempt++
    const { queue, running } = this.partOf(call)
    if (running < maxConcurrent && queue.length === 0) return this.take(call)
    if (maxWait === 0) return this.refuse(call, "full")
    if (queue.length >= maxQueued) return this.refuse(call, "queue-full")
    call.state = "waits"
    queue.push(call)
    this.came.push(call.attempt === 1 ? "waited" : "waited again")
    this.after(call, maxWait, () => {
      this.leave(call)
      this.refuse(call, "wait-too-long")
      this.serve(call)
    })
  }

  private leave(call: ModelCall): void {
    const { queue } = this.partOf(call)
    if (queue.includes(call)) queue.splice(queue.indexOf(call), 1)
  }

  /** A waiter that has a slot, and asks a remote store, keeps its place in the queue until the reply has come. */
  private serve(call: ModelCall): void {
    const part = this.partOf(call)
    const [head] = part.queue
    if (head?.state === "waits" && part.running < this.numbers.maxConcurrent) this.take(head)
  }

  private refuse(call: ModelCall, reason: string): void {
    this.came.push(call.attempt === 1 ? reason : "a further attempt was refused")
    this.end(call, call.attempt === 1 ? reason : "no")
  }

  private take(call: ModelCall): void {
    const { perAttempt, trip } = this.numbers
    this.partOf(call).running++
    const asks = trip > 0 && (perAttempt || call.attempt === 1)
    call.state = "trip"
    if (!asks) return this.begin(call)
    this.after(call, trip, () => this.begin(call))
  }

  private begin(call: ModelCall): void {
    this.leave(call)
    call.state = "runs"
    this.log.push(`${this.now} ${call.id} begins ${call.attempt}`)
    this.after(call, call.millis, () => {
      const failed = call.attempt <= call.fails
      if (!failed || call.attempt === this.numbers.attempts) this.end(call, failed ? "no" : "ran")
      else {
        call.state = "backoff"
        this.after(call, this.numbers.backoff, () => this.ask(call))
      }
      this.partOf(call).running--
      this.serve(call)
    })
    this.serve(call)
  }

  private end(call: ModelCall, how: string): void {
    call.turn++
    call.state = "ended"
    this.log.push(`${this.now} ${call.id} ends: ${how}`)
  }

  interrupt(id: number): void {
    this.at(this.now)
    const call = this.calls.get(id)
    if (call === undefined || call.state === "ended") return
    const { state } = call
    this.came.push(`interrupted: ${state}`)
    this.end(call, "interrupted")
    this.leave(call)
    if (state === "trip" || state === "runs") this.partOf(call).running--
    this.serve(call)
  }

  /** What is told of the keys in use. */
  seen(): Record<string, unknown> {
    const { maxConcurrent } = this.numbers
    const used = [...this.parts].filter(([, { queue, running }]) => running + queue.length > 0)
    return Object.fromEntries(
      used.map(([part, { queue, running }]) => [part, { running, queued: queue.length, free: maxConcurrent - running }])
    )
  }
}

const numbersOf = ({ setting }: Program, kind: Kind): Numbers => {
  const { attempts, backoff, by, queued, slots, waits } = setting
  const maxWait = oneOf(waits, 0, 3_001, 20_011, Infinity)
  return {
    maxConcurrent: oneOf(slots, 1, 1, 2, 3),
    maxWait,
    maxQueued: maxWait === 0 ? 0 : oneOf(queued, 1, 2, 1_000),
    by: oneOf(by, "key", "tenant"),
    attempts: oneOf(attempts, 1, 2, 3),
    backoff,
    trip: kind.trip,
    perAttempt: kind.perAttempt
  }
}

interface Kind {
  readonly trip: number
  readonly perAttempt: boolean
}

const play = (program: Program, kind: Kind, came: Map<string, number>): void => {
  const numbers = numbersOf(program, kind)
  const { attempts, backoff, by, maxConcurrent, maxQueued, maxWait, perAttempt, trip } = numbers
  const policies: Policies = {
    rateLimiter: RateLimiter.fixedWindow({ limit: 1_000_000, window: "30 days" }), // a reason for a trip
    bulkhead: Bulkhead.policy({ maxConcurrent, by, ...(maxWait === 0 ? {} : { maxWait, maxQueued }) }),
    retry: Retry.policy({ maxAttempts: attempts, backoff: Backoff.constant(backoff) }),
    admission: perAttempt ? "attempt" : "call"
  }
  const stage = new Stage(policies, {
    key: KEYS[0],
    maxOps: oneOf(program.setting.maxOps, 3, 4, 7, 2_048),
    store:
      trip === 0
        ? undefined
        : (memory) => elsewhere(memory, () => ({ before: Effect.sleep(trip - 5), after: Effect.sleep(5) }))
  })
  const { body, world } = stage
  const keyed = keyedOf(stage)
  const model = new Model(numbers)
  const log: Array<string> = []
  const fibers: Array<Fiber.Fiber<unknown, unknown>> = []

  const call = (key: (typeof KEYS)[number], { fails, id, millis }: Ask): void => {
    let attempt = 0
    const self = Effect.suspend(() => {
      log.push(`${world.elapsed} ${id} begins ${++attempt}`)
      return Effect.andThen(Effect.sleep(millis), attempt <= fails ? Effect.fail("no") : Effect.void)
    })
    const fiber = world.fork(
      stage.call(body.of(() => self) as Effect.Effect<void, string>, { key }) as Effect.Effect<void, unknown>
    )
    fiber.addObserver((exit) => log.push(`${world.elapsed} ${id} ends: ${howOf(exit)}`))
    fibers[id] = fiber
  }

  const agrees = () => {
    const told = KEYS.flatMap((key) => {
      const seen = keyed.look(readKey(key))
      return seen.running + seen.queued === 0 ? [] : [[partOf(numbers, key), seen]]
    })
    assert.deepStrictEqual(Object.fromEntries(told), model.seen(), `at ${world.elapsed}`)
    assert.strictEqual(keysInUse(keyed).length, Object.keys(model.seen()).length)
    assert.deepStrictEqual(log.toSorted(), model.log.toSorted())
  }

  for (const [i, { fails, gap, key, millis, pick, what }] of program.acts.entries()) {
    const at = model.now + gap
    model.runTo(at)
    if (model.tie <= at) break
    const id = i
    if (what < 75) {
      const owner = oneOf(key, ...KEYS)
      const ask = { id, part: partOf(numbers, owner), millis, fails: oneOf(fails, 0, 0, 1, 3) }
      model.arrive(ask)
      if (model.tie <= at) break
      world.runTo(at + (world.now - world.elapsed))
      call(owner, ask)
    } else {
      model.interrupt(pick % (i + 1))
      if (model.tie <= at) break
      world.runTo(at + (world.now - world.elapsed))
      fibers[pick % (i + 1)]?.interruptUnsafe()
    }
    world.settle()
    agrees()
  }
  for (const what of model.came) came.set(what, (came.get(what) ?? 0) + 1)
  for (const fiber of fibers) fiber?.interruptUnsafe()
  world.runOut()
  assert.deepStrictEqual(stage.debris(), clean)
  assert.deepStrictEqual(keysInUse(keyed), [])
}

const howOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ran"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  const error = exit.cause.reasons.find(Cause.isFailReason)?.error
  return typeof error === "object" && error !== null && "reason" in error ? String(error.reason) : String(error)
}

const kinds: Record<string, Kind> = {
  "on the memory store": { trip: 0, perAttempt: false },
  "on the memory store, admission per attempt": { trip: 0, perAttempt: true },
  "on a store whose answers take a trip": { trip: 12, perAttempt: false },
  "on a store whose answers take a trip, admission per attempt": { trip: 12, perAttempt: true },
  "on a store whose answers take long": { trip: 907, perAttempt: true }
}
const expected = [
  ..."full,queue-full,wait-too-long,waited,waited again,a further attempt was refused".split(","),
  ..."interrupted: waits,interrupted: runs,interrupted: backoff".split(",")
]

describe(`slots of each key do what a model says (MODEL_SEED=${seed})`, () => {
  for (const [name, kind] of Object.entries(kinds)) {
    const came = new Map<string, number>()
    it.effect.prop(name, { program }, ({ program }) => Effect.sync(() => play(program, kind, came)), {
      timeout: 120_000,
      arbitrary: { runs: runs(250), size: 400, seed }
    })
    it(`and the programs came to all of it: ${name}`, () => {
      for (const what of [...expected, ...(kind.trip > 500 ? ["interrupted: trip"] : [])]) {
        assert.isAbove(came.get(what) ?? 0, 5 * Number(process.env["LAWS_RUNS"] ?? 1), what)
      }
    })
  }
})
