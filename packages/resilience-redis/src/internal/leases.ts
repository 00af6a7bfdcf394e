/**
 * Tokens taken ahead: who waits for which, the trips, and the end of each lease.
 *
 * A leased bucket is asked by itself, before what else a call takes. What it gave is this process's to take back, so an
 * admission is all or nothing all the same.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { LimiterInput } from "effect-resilience/kernel/Limiter"
import type { TokenBucketReceipt } from "effect-resilience/kernel/TokenBucket"
import type { StoreError } from "effect-resilience/Rejection"
import { type AnySpace, type Committed, copyStep, Step } from "effect-resilience/Store"
import { type Answer, Line, type Question, Spent } from "./leaseLine.ts"

type Reply = Committed<ReadonlyArray<Step>>

/** What was not asked has nothing against the call. */
const NOT_ASKED = { allowed: true, retryAfter: 0, remaining: 0, resetAfter: 0, receipt: undefined }

/** How long a store that closes waits for what it gives back. */
const FAREWELL = "1 second"

/** Two clocks of one machine are never as far apart as that by themselves, in milliseconds. */
const JUMP = 50

export interface Trips {
  /** Takes tokens of a leased bucket: of one step, whose input is the lease kernel's. */
  readonly lease: (step: Step) => Effect.Effect<Reply, StoreError>
  readonly commit: (steps: ReadonlyArray<Step>) => Effect.Effect<Reply, StoreError>
  readonly clock: Clock.Clock
  /** Milliseconds since whenever. */
  readonly now: () => number
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
}

interface Waiter {
  readonly cost: number
  readonly held: Array<Spent>
  readonly resume: (answer: Effect.Effect<Answer, StoreError>) => void
}

interface Bucket {
  readonly space: AnySpace
  readonly key: string
  readonly line: Line
  readonly waiting: Set<Waiter>
  asking: boolean
  timer: Fiber.Fiber<unknown> | undefined
}

/**
 * Time that has passed. The monotonic clock stands still while the machine sleeps; the other one then is ahead of it, and is
 * believed. That one may be set back, which changes nothing, or be set forward: then leases end early.
 */
export const elapsed = (clock: Clock.Clock): (() => number) => {
  const monotonic = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  let time = 0
  let last = monotonic()
  let lastWall = clock.currentTimeMillisUnsafe()
  return () => {
    const now = monotonic()
    const wall = clock.currentTimeMillisUnsafe()
    const passed = wall - lastWall
    time += passed > now - last + JUMP ? passed : now - last
    last = now
    lastWall = wall
    return time
  }
}

export class Leases {
  private readonly trips: Trips
  private readonly spaces = new Map<AnySpace, Map<string, Bucket>>()
  private readonly buckets = new WeakMap<Line, Bucket>()
  private closed = false

  private readonly now: () => number

  constructor(trips: Trips) {
    this.trips = trips
    this.now = trips.now
  }

  private bucketOf(space: AnySpace, key: string): Bucket {
    let keys = this.spaces.get(space)
    if (keys === undefined) this.spaces.set(space, (keys = new Map()))
    let bucket = keys.get(key)
    if (bucket === undefined) {
      const line = new Line(space.policy, space.lease!) // none else comes here
      bucket = { space, key, line, waiting: new Set(), asking: false, timer: undefined }
      keys.set(key, bucket)
      this.buckets.set(line, bucket)
    }
    return bucket
  }

  commit(steps: ReadonlyArray<Step>): Effect.Effect<Reply, StoreError> {
    const [only] = steps
    if (steps.length === 1 && only!.input.op === "take") {
      const bucket = this.bucketOf(only!.space, only!.key)
      const answer = this.here(bucket, only!.input.cost, this.now())
      if (answer !== undefined)
        return Effect.succeed({ now: this.timeOf(bucket), allowed: answer.allowed, answers: [answer] })
    }
    const held: Array<Spent> = []
    return Effect.onExit(this.together(steps, held), (exit) => {
      if (Exit.isSuccess(exit) && exit.value.allowed) return Effect.void
      for (const spent of held) this.giveBack(spent)
      return Effect.void
    })
  }

  private together(steps: ReadonlyArray<Step>, held: Array<Spent>): Effect.Effect<Reply, StoreError> {
    return Effect.gen({ self: this }, function* () {
      const answers = new Map<Step, Decision | undefined>()
      const others: Array<Step> = []
      let now = this.trips.clock.currentTimeMillisUnsafe()
      for (const step of steps) {
        if (step.space.lease === undefined) {
          others.push(step)
          continue
        }
        const [answer, at] = yield* this.ask(step, step.input, held)
        answers.set(step, answer)
        now = at ?? now
        if (!answer.allowed) {
          return { now, allowed: false, answers: steps.map((step) => answers.get(step) ?? NOT_ASKED) }
        }
      }
      if (others.length === 0) return { now, allowed: true, answers: steps.map((step) => answers.get(step)) }
      const reply = yield* this.trips.commit(others)
      others.forEach((step, i) => answers.set(step, reply.answers[i]))
      return { now: reply.now, allowed: reply.allowed, answers: steps.map((step) => answers.get(step)) }
    })
  }

  /** The answer, and the server's time where it is known. */
  private ask(
    step: Step,
    input: LimiterInput<unknown>,
    held: Array<Spent>
  ): Effect.Effect<readonly [Decision, number | undefined], StoreError> {
    const { key, space } = step
    if (input.op === "take") {
      const bucket = this.bucketOf(space, key)
      return Effect.map(this.take(bucket, input.cost, held), (answer) => [answer, this.timeOf(bucket)] as const)
    }
    const known = this.spaces.get(space)?.get(key)?.line
    if (input.op === "refund" && input.receipt instanceof Spent) {
      const receipts = input.receipt.line.giveBack(input.receipt, this.now())
      return Effect.as(this.returned(space, key, receipts), [NOT_ASKED, undefined] as const)
    }
    return Effect.map(this.trips.commit([copyStep(step, space, input)]), ({ answers: [answer], now }) => {
      known?.forget() // also what came during the trip
      return [answer!, now] as const
    })
  }

  /** What can be answered without a trip. */
  private here(bucket: Bucket, cost: number, now: number): Answer | undefined {
    const { line } = bucket
    const spent = line.take(cost, now)
    const answer = spent !== undefined ? line.allowed(spent, now) : bucket.asking ? undefined : line.refuse(cost, now)
    if (answer !== undefined && line.endsAt === undefined) this.drop(bucket)
    return answer
  }

  private take(bucket: Bucket, cost: number, held: Array<Spent>): Effect.Effect<Answer, StoreError> {
    return Effect.callback<Answer, StoreError>((resume) => {
      const waiter: Waiter = { cost, held, resume }
      const answer = this.here(bucket, cost, this.now())
      if (answer !== undefined) {
        this.note(waiter, answer)
        return resume(Effect.succeed(answer))
      }
      bucket.waiting.add(waiter)
      if (!bucket.asking) this.depart(bucket)
      return Effect.sync(() => bucket.waiting.delete(waiter))
    })
  }

  /** What was taken is noted at once: a waiter may have been interrupted, and then never hears of it. */
  private note({ held }: Waiter, { receipt }: Answer): void {
    if (receipt !== undefined) held.push(receipt)
  }

  /** One trip for all who wait. It goes on where they leave. */
  private depart(bucket: Bucket): void {
    const { key, line, space, waiting } = bucket
    const waiters = [...waiting]
    const costs = waiters.map(({ cost }) => cost)
    const question = line.ask(costs, this.now(), !this.closed)
    bucket.asking = true
    const trip = this.trips.lease(new Step(space, key, { cost: question.cost, most: question.most }))
    this.trips.fork(
      Effect.matchCause(trip, {
        onFailure: (cause) => {
          bucket.asking = false
          for (const waiter of waiters) {
            if (waiting.delete(waiter)) waiter.resume(Effect.failCause(cause))
          }
          this.serve(bucket)
        },
        onSuccess: (reply) => this.arrive(bucket, waiters, question, reply)
      })
    )
  }

  private arrive(bucket: Bucket, waiters: ReadonlyArray<Waiter>, question: Question, reply: Reply): void {
    const { line, waiting } = bucket
    bucket.asking = false
    const fresh = line.hear(question, reply.answers[0] as never, reply.now) // the lease kernel's answer
    const now = this.now()
    // all is shared out before anyone is told: who is told goes on at once, and may ask again
    const told = waiters.flatMap((waiter) => {
      if (!waiting.delete(waiter)) return []
      const spent = line.take(waiter.cost, now, fresh)
      const answer = spent === undefined ? line.refused(waiter.cost, now) : line.allowed(spent, now)
      this.note(waiter, answer)
      return [() => waiter.resume(Effect.succeed(answer))]
    })
    this.serve(bucket)
    for (const tell of told) tell()
  }

  /** Those who came during a trip. */
  private serve(bucket: Bucket): void {
    const now = this.now()
    const told: Array<() => void> = []
    for (const waiter of bucket.waiting) {
      const answer = this.here(bucket, waiter.cost, now)
      if (answer === undefined) continue
      bucket.waiting.delete(waiter)
      this.note(waiter, answer)
      told.push(() => waiter.resume(Effect.succeed(answer)))
    }
    if (bucket.waiting.size > 0 && !bucket.asking) this.depart(bucket)
    this.arm(bucket)
    for (const tell of told) tell()
  }

  private giveBack(spent: Spent): void {
    const receipts = spent.line.giveBack(spent, this.now())
    const { key, space } = this.buckets.get(spent.line)! // whose line it is
    if (receipts.length > 0) this.trips.fork(this.returned(space, key, receipts))
  }

  /** Best effort: what does not arrive is only missed until the bucket has refilled. */
  private returned(space: AnySpace, key: string, receipts: ReadonlyArray<TokenBucketReceipt>): Effect.Effect<void> {
    return Effect.forEach(
      receipts,
      (receipt) => Effect.ignore(this.trips.commit([new Step(space, key, { op: "refund", receipt })])),
      { discard: true }
    )
  }

  private arm(bucket: Bucket): void {
    if (bucket.timer !== undefined) return
    const { endsAt } = bucket.line
    if (endsAt === undefined) return this.drop(bucket)
    const millis = this.closed ? 0 : Math.max(1, Math.ceil(endsAt - this.now()))
    const end = Effect.suspend(() => {
      bucket.timer = undefined
      const receipts = bucket.line.end(this.closed ? Infinity : this.now())
      this.arm(bucket)
      return this.returned(bucket.space, bucket.key, receipts)
    })
    bucket.timer = this.trips.fork(Effect.andThen(this.trips.clock.sleep(Duration.millis(millis)), end))
  }

  private drop({ asking, key, space, waiting }: Bucket): void {
    if (asking || waiting.size > 0) return
    const keys = this.spaces.get(space)
    keys?.delete(key)
    if (keys?.size === 0) this.spaces.delete(space)
  }

  private timeOf({ line }: Bucket): number {
    return line.serverTime(this.now()) ?? this.trips.clock.currentTimeMillisUnsafe()
  }

  /** All keys of a space begin anew. */
  clear(space: AnySpace): void {
    for (const { line } of this.spaces.get(space)?.values() ?? []) line.forget()
  }

  /** Gives back all that is held. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    const all = [...this.spaces.values()].flatMap((keys) => [...keys.values()])
    const given = all.map((bucket) => {
      bucket.timer?.interruptUnsafe()
      bucket.timer = undefined
      return this.returned(bucket.space, bucket.key, bucket.line.end(Infinity))
    })
    return Effect.ignore(Effect.timeout(Effect.all(given, { concurrency: 64, discard: true }), FAREWELL))
  })
}
