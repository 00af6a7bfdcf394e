/** The real service of the given numbers, in a world of its own, and everything that can be heard of it. */
import { Context, Effect, Fiber, Layer, Option, References } from "effect"
import { World } from "effect-resilience-testing/World"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { type Event, EventSink } from "../../src/Event.ts"
import type { SlotGate } from "../../src/bulkhead/SlotGate.ts"
import type { WholeCall } from "../../src/engine/Call.ts"
import type { Expected } from "../../src/engine/Expected.ts"
import type { Member } from "../../src/Policy.ts"
import { CircuitPass } from "../../src/circuitBreaker/CircuitPass.ts"
import { breaker } from "../../src/kernel/Breaker.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import { type AnySpace, type Step, Store } from "../../src/Store.ts"
import type { Local } from "../../src/StoreModel.ts"
import { classify } from "./commands.ts"
import { CAP, type CircuitNumbers, type LimitNumbers, type Numbers } from "./numbers.ts"
import { type Oracle, same } from "./policies.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type Key = { readonly user: string }

export interface Ear {
  readonly event: (event: Event, fiber: AnyFiber) => void
  /** A question, a report, or what is given back: they have no events of their own. */
  readonly commit: (step: Step, fiber: AnyFiber) => void
  /** A success that its circuit need not be told. */
  readonly untold: (pass: CircuitPass, fiber: AnyFiber) => void
  readonly release: (fiber: AnyFiber) => void
  /** A circuit is told of a call in flight that has become slow: wherever anything looks at it. */
  readonly slow: (circuit: string) => void
}

/** Without `by` its one member is the slots of the service. */
const slotsOf = ({ members }: Bulkhead.BulkheadService): SlotGate => members[0] as SlotGate

/** How many may wait means something only where anybody may. */
const waitingOf = ({ maxQueued, maxWait }: { readonly maxWait: number; readonly maxQueued: number }) =>
  maxWait === 0 ? {} : { maxWait, maxQueued }

const limitOf = (numbers: LimitNumbers): RateLimiter.Limit => {
  const { burst, kind, limit, maxKeys, overflow, slices, window } = numbers
  const rate = { limit, window, maxKeys, overflow, ...waitingOf(numbers) }
  if (kind === "tokenBucket") return RateLimiter.tokenBucket({ ...rate, burst })
  if (kind === "fixedWindow") return RateLimiter.fixedWindow(rate)
  return kind === "slidingLog" ? RateLimiter.slidingLog(rate) : RateLimiter.slidingWindow({ ...rate, slices })
}

/** What an error of the tests asks for. */
export const hintIn = (error: unknown): Option.Option<number> =>
  typeof error === "object" && error !== null && "hint" in error && typeof error.hint === "number"
    ? Option.some(error.hint)
    : Option.none()

const circuitOf = (numbers: CircuitNumbers): CircuitBreaker.Policy => {
  const { byUser, cap, growth, idle, lease, maxKeys, open, permitted, required, trips } = numbers
  const options: CircuitBreaker.Options = {
    tripPolicy: CircuitBreaker.anyOf(
      ...trips.map((trip) => {
        if (trip.kind === "consecutive") {
          return CircuitBreaker.consecutive(trip.failures, trip.within === 0 ? {} : { within: trip.within })
        }
        if (trip.kind === "failures") {
          return CircuitBreaker.failures({ count: trip.failures, within: trip.within })
        }
        const rate = { ...trip, window: trip.calls > 0 ? { calls: trip.calls } : trip.window }
        return trip.slowAfter === 0 ? CircuitBreaker.failureRate(rate) : CircuitBreaker.slowCallRate(rate)
      })
    ),
    openDuration: growth === 1 ? open : Backoff.exponential({ base: open, factor: growth, cap, jitter: "none" }),
    maxOpenDuration: cap,
    probes: { permitted, required, lease: lease === 0 ? undefined : lease },
    retryAfter: hintIn,
    idleTimeToLive: idle
  }
  return byUser ? CircuitBreaker.policy({ ...options, by: "user", maxKeys }) : CircuitBreaker.policy(options)
}

export class Subject {
  readonly world: World
  readonly limiter: RateLimiter.RateLimiterService<Key, unknown> | undefined
  readonly breaker: CircuitBreaker.CircuitBreakerService | undefined
  readonly bulkhead: Bulkhead.BulkheadService | undefined
  private readonly resilience: Resilience.DefaultService | undefined
  private readonly store = memoryStore.make(transactions)
  private readonly numbers: Numbers
  private expected: Expected | undefined

  constructor(numbers: Numbers, maxOps: number, ear: Ear) {
    this.numbers = numbers
    this.world = new World({ maxOpsBeforeYield: maxOps, context: Context.make(EventSink, ear.event) })
    const layer = Layer.succeed(Store, this.heard(ear))
    const get = <A>(effect: Effect.Effect<A, never, Store>): A => this.world.get(Effect.provide(effect, layer))
    const { circuit, limit, shared, slots } = numbers
    if (limit !== undefined) {
      const policy =
        shared === undefined
          ? limitOf(limit)
          : RateLimiter.every({ user: limitOf(limit), all: RateLimiter.shared(limitOf(shared)) })
      this.limiter = get(Effect.provide(RateLimiter.RateLimiter, RateLimiter.layerFromStore(policy)))
    }
    if (circuit !== undefined) {
      const policy = circuitOf(circuit)
      this.breaker = get(Effect.provide(CircuitBreaker.CircuitBreaker, CircuitBreaker.layerFromStore(policy)))
    }
    if (slots !== undefined) {
      this.bulkhead = get(Bulkhead.make(Bulkhead.policy({ maxConcurrent: slots.maxConcurrent, ...waitingOf(slots) })))
      const gate = slotsOf(this.bulkhead)
      const release = gate.release.bind(gate)
      gate.release = () => {
        release()
        ear.release(Fiber.getCurrent()!)
      }
    }
    if (this.limiter !== undefined) this.overhear(this.limiter.gate)
    if (this.bulkhead !== undefined) this.overhear(slotsOf(this.bulkhead))
    const parts = [this.limiter, this.breaker, this.bulkhead].filter((part) => part !== undefined)
    const { attemptTimeout, perAttempt, retry, timeout } = numbers
    if (
      parts.length !== 1 ||
      [attemptTimeout, retry, timeout].some((part) => part !== undefined) ||
      perAttempt === true
    )
      this.resilience = this.compose()
  }

  private compose(): Resilience.DefaultService {
    const { attemptTimeout, perAttempt, retry, timeout } = this.numbers
    const { breaker, bulkhead, limiter } = this
    const policy = Retry.policy({
      maxAttempts: retry?.maxAttempts ?? 1,
      backoff:
        retry?.growth === 1
          ? Backoff.constant({ delay: retry.delay, jitter: "none" })
          : Backoff.exponential({ base: retry?.delay ?? 1, factor: retry?.growth ?? 2, cap: CAP, jitter: "none" }),
      retryAfter: hintIn
    })
    const some = <I, S>(tag: Context.Key<I, S>, service: S | undefined) =>
      service === undefined ? [] : [{ tag, service }]
    const parts = [
      ...some(RateLimiter.RateLimiter, limiter as never), // a limiter of records, seen as one of all keys
      ...some(CircuitBreaker.CircuitBreaker, breaker),
      ...some(Bulkhead.Bulkhead, bulkhead),
      ...(retry === undefined ? [] : some(Retry.Retry, Effect.runSync(Retry.make(policy))))
    ]
    const tags = parts.map(({ tag }) => tag)
    const services = parts.reduce(
      (context, { service, tag }) => Context.add(context, tag as Context.Key<unknown, unknown>, service),
      Context.empty() as Context.Context<unknown>
    )
    const options = {
      timeout,
      attemptTimeout,
      admission: perAttempt === true ? ("attempt" as const) : ("call" as const)
    }
    const composed = Effect.provide(Resilience.Resilience, Resilience.layerFrom(tags as never, options))
    return this.world.get(Effect.provideContext(composed, services as Context.Context<never>)) // all that the tags name
  }

  /** Only a limiter of its own takes a `maxWait` for each call. */
  get asksLimiterAlone(): boolean {
    return this.resilience === undefined && this.limiter !== undefined
  }

  /** The memory store, overheard. */
  private heard(ear: Ear): Store["Service"] & Local {
    const { sync } = this.store
    return {
      ...this.store,
      sync: {
        ...sync,
        commit: (steps, now, write) => {
          for (const step of steps) {
            const { op } = step.input as { readonly op: string }
            if (op === "slow") ear.slow(step.key)
            // a timer reports outside of all fibers
            if (op === "record" && step instanceof CircuitPass) ear.commit(step, step.call!.fiber)
            else if (op === "refund" || op === "take") ear.commit(step, Fiber.getCurrent()!)
          }
          return sync.commit(steps, now, write)
        },
        release: (step) => {
          if (step instanceof CircuitPass && step.input.op === "admit") ear.untold(step, step.call!.fiber)
          sync.release(step)
        }
      }
    }
  }

  /** The gates are given each call, and a call has the pipeline. */
  private overhear(gate: Member): void {
    const enter = gate.enter!.bind(gate)
    const hear: Member["enter"] = (call, now) => {
      this.expected = (call as WholeCall).pipeline.expected // the engine makes all calls
      return enter(call, now)
    }
    Object.assign(gate, { enter: hear })
  }

  readonly oracle: Omit<Oracle, "stands"> = {
    expects: (now) => this.expected?.at(now),
    now: () => this.world.now,
    hasGone: (where, key) => {
      const space =
        where === "circuit" ? this.breaker!.gate.space : this.limiter!.gate.members[where === "limit" ? 0 : 1]!.space
      return this.store.sync.read(space as AnySpace, key) === undefined
    },
    isFresh: (circuit) => {
      if (this.breaker === undefined) return false
      const { policy, ...space } = this.breaker.gate.space
      const state = this.store.sync.read(this.breaker.gate.space, circuit)
      return space !== undefined && (state === undefined || same(state, breaker.initial(policy)))
    }
  }

  /** Whether a call stands in any line. */
  stands(fiber: AnyFiber | undefined): boolean {
    const places = this.limiter?.gate.members.flatMap(({ places }) => Array.from(places.values())) ?? []
    const queues = [...places, ...(this.bulkhead === undefined ? [] : [slotsOf(this.bulkhead)])]
    return queues.some(({ queue }) => {
      for (let waiter = queue.head; waiter !== undefined; waiter = waiter.next) if (waiter.fiber === fiber) return true
      return false
    })
  }

  /** A limiter or a bulkhead of its own has no use for an outcome. */
  get classifies(): boolean {
    return this.resilience !== undefined || (this.limiter === undefined && this.breaker !== undefined)
  }

  run<A, E>(
    self: Effect.Effect<A, E>,
    user: string,
    cost: number,
    maxWait: number | undefined
  ): Effect.Effect<A, unknown> {
    const key = { user }
    if (this.resilience !== undefined) return this.resilience.resilient(self, key, { cost, classify })
    if (this.limiter !== undefined) return this.limiter.execute(self, key, { cost, maxWait })
    if (this.breaker !== undefined) return this.breaker.execute(self, key, { classify })
    return this.bulkhead!.execute(self, JSON.stringify([["user", user]]))
  }

  /** At once, in a single turn. The fiber may end later, when its turns are short again. */
  now<A>(effect: Effect.Effect<A>): A {
    let result: { readonly value: A } | undefined
    const noted = Effect.map(effect, (value) => void (result = { value }))
    this.world.fork(Effect.provideService(noted, References.PreventSchedulerYield, true))
    if (result === undefined) throw new Error("it takes time")
    return (result as { readonly value: A }).value // set in the callback
  }

  /** What a reader sees. */
  look(user: string) {
    const key = { user }
    const peek = this.limiter && this.now(this.limiter.peek(key))
    const limit = (name: string) => {
      const one = peek?.limits[name]
      if (one === undefined) return undefined
      const { queued, remaining, resetAfterMillis, waitFor } = one
      return { remaining, resetAfterMillis, queued, waitFor: [waitFor(1) ?? -1, waitFor(3) ?? -1] }
    }
    return {
      limit: limit(this.numbers.shared === undefined ? "limit" : "user"),
      shared: limit("all"),
      circuit: this.breaker && this.now(this.breaker.state(key)),
      slots: this.bulkhead && this.now(this.bulkhead.inspect)
    }
  }
}
