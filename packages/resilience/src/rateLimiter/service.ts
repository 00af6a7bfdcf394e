/**
 * A rate limiter in use, for every policy: what `RateLimiter.make` and its layers build.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { RateLimitExceeded, StoreError } from "../Rejection.ts"
import type { Store, StoreView } from "../StoreModel.ts"
import { ambientOf } from "../internal/ambient.ts"
import { heard } from "../internal/answers.ts"
import { builtSink, emit, sinkOf } from "../internal/events.ts"
import { type Key, nameOf, type ReadKey, readKey } from "../internal/key.ts"
import type { Policy } from "./Limit.ts"
import { type LimitEntry, LimitGate } from "./LimitGate.ts"
import type { LimitStep } from "./OneLimit.ts"
import type { Peek } from "./peek.ts"
import { transactionalMemory } from "../internal/memoryTransactions.ts"
import { envOf, fromStore, isDataFirst, single } from "../engine/service.ts"
import type { Guarded, Local, PolicyService } from "../Policy.ts"
import { nowAt, nowOf } from "../internal/time.ts"
import { inTransaction, maybeInTransaction } from "../internal/transaction.ts"
import { count, maxWaitOf } from "../Validate.ts"

export type { Key } from "../internal/key.ts"

/** @category models @since 0.1.0 */
export interface CostOptions {
  /** Units that the call takes: a whole number of at least 1. Default: 1. */
  readonly cost?: number | undefined
}

/** @category models @since 0.1.0 */
export interface AcquireOptions extends CostOptions {
  /** Instead of the policy's own. `Infinity`: until there is room. */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * A rate limiter in use. All but `execute` may stand inside `Effect.tx`: they commit and roll back with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimiterService<in Key, out Error = RateLimitExceeded> extends PolicyService {
  /** Takes `cost` if there is room, and says whether there was. Never waits, never fails. */
  readonly allow: (key: Key, options?: CostOptions) => Effect.Effect<boolean>
  /** Takes `cost`, waiting up to `maxWait` for room. Inside `Effect.tx` it does not wait. */
  readonly acquire: (key: Key, options?: AcquireOptions) => Effect.Effect<void, Error>
  readonly peek: (key: Key) => Effect.Effect<Peek>
  /**
   * Forgets one key, or all of them: calls that wait ask again. Fails where a shared store did not do it: it is away, it
   * refuses to write, or it was too slow. A limiter in memory never fails.
   */
  readonly reset: (key?: Key) => Effect.Effect<void, StoreError>
  /** Runs an effect once it is let through. */
  readonly execute: {
    (key: Key, options?: AcquireOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Error, R>
    <A, E, R>(self: Effect.Effect<A, E, R>, key: Key, options?: AcquireOptions): Effect.Effect<A, E | Error, R>
  }
  /** @internal */
  readonly gate: LimitGate
}

export const costOf = (module: string, cost: number | undefined): number =>
  cost === undefined ? 1 : count(module, "cost", cost)
/** What the limits would say, in the transaction around it. Nothing is taken. */
const look = (steps: ReadonlyArray<LimitStep>, store: StoreView): Effect.Effect<void, StoreError> =>
  Effect.forEach(
    steps,
    (step) =>
      Effect.map(store.read(step.space, step.key), ({ now, state }) => {
        const { kernel, policy } = step.space
        step.result = kernel.step(policy, state ?? kernel.initial(policy), step.input, now)
      }),
    { discard: true }
  )

const YES = Effect.succeed(true)
const NO = Effect.succeed(false)

const build = (id: string, policy: Policy, store: Local | Guarded): RateLimiterService<Key, RateLimitExceeded> => {
  const label = "rateLimiter"
  const opened = policy.open(envOf(id, label, store))
  const limits = opened instanceof LimitGate ? opened : new LimitGate([], id, store, label) // without a limit
  const run = single<RateLimitExceeded>(id, limits, store)
  const built = builtSink()

  /** One decision without a wait. It joins the transaction that it stands in, and its events follow the commit. */
  const decide = (
    entry: LimitEntry,
    key: ReadKey,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<RateLimitExceeded | undefined> => {
    const now = nowOf(fiber)
    const blocked = entry.blocked(undefined)
    const judge = (allowed: boolean): RateLimitExceeded | undefined =>
      allowed ? undefined : entry.refusal(now, true)?.error
    const tell = (rejection: RateLimitExceeded | undefined, fiber: Fiber.Fiber<unknown, unknown>) => {
      const sink = sinkOf(fiber) ?? built
      if (sink === undefined) return
      const base = { service: id, key: nameOf(key), attempt: 1 }
      emit(
        sink,
        rejection === undefined ? { ...base, _tag: "Admitted", waited: 0 } : { ...base, _tag: "Rejected", rejection },
        fiber
      )
    }
    const { sync } = store
    if (sync !== undefined && !maybeInTransaction(fiber)) {
      const allowed = sync.commit(entry.steps, now, !blocked)
      const rejection = judge(allowed && !blocked)
      tell(rejection, fiber)
      return Effect.succeed(rejection)
    }
    // who waits goes first; the keys are read all the same, so that a transaction that waits for them is woken
    const asked = blocked
      ? Effect.as(look(entry.steps, store), false)
      : Effect.map(store.commit(entry.steps), (committed) => heard(entry.steps, committed))
    // a guarded store that falls back does not fail
    return Effect.flatMap(Effect.orDie(asked), (allowed) => {
      const rejection = judge(allowed)
      const told = Effect.withFiber((fiber) => Effect.succeed(tell(rejection, fiber)))
      return Effect.as(sync === undefined ? told : sync.afterCommit(told), rejection)
    })
  }

  const allow = (key: Key, options?: CostOptions): Effect.Effect<boolean> => {
    const cost = costOf("RateLimiter.allow", options?.cost)
    return Effect.withFiber((fiber) => {
      const read = readKey(key)
      const { sync } = store
      const { clock, maybeInTransaction, sink } = ambientOf(fiber)
      if (sync === undefined || maybeInTransaction || (sink ?? built) !== undefined) {
        return Effect.map(decide(limits.entry(read, cost, 0), read, fiber), (rejection) => rejection === undefined)
      }
      // the same decision, but nobody wants to know why
      const steps = limits.stepsFor(read, cost)
      const blocked = limits.blocks(steps, undefined)
      return sync.commit(steps, nowAt(clock), !blocked) && !blocked ? YES : NO
    })
  }

  const runAs = <A, E, R>(
    module: string,
    self: Effect.Effect<A, E, R>,
    key: Key,
    options: AcquireOptions | undefined
  ): Effect.Effect<A, E | RateLimitExceeded, R> =>
    run(self, key, {
      cost: costOf(module, options?.cost),
      maxWait: options?.maxWait === undefined ? undefined : maxWaitOf(module, options.maxWait)
    })

  const execute = <A, E, R>(self: Effect.Effect<A, E, R>, key: Key, options?: AcquireOptions) =>
    runAs("RateLimiter.execute", self, key, options)

  const acquire = (key: Key, options?: AcquireOptions): Effect.Effect<void, RateLimitExceeded> => {
    const waiting = runAs("RateLimiter.acquire", Effect.void, key, options)
    const cost = options?.cost ?? 1
    const joining = Effect.withFiber<void, RateLimitExceeded>((fiber) => {
      const read = readKey(key)
      return Effect.flatMap(decide(limits.entry(read, cost, 0), read, fiber), (rejection) =>
        rejection === undefined ? Effect.void : Effect.fail(rejection)
      )
    })
    return Effect.withFiber<void, RateLimitExceeded>((fiber) =>
      maybeInTransaction(fiber) ? Effect.flatMap(inTransaction, (inside) => (inside ? joining : waiting)) : waiting
    )
  }

  return {
    allow,
    acquire,
    peek: (key) => Effect.orDie(Effect.suspend(() => limits.inspect(readKey(key)))), // a guarded store that falls back does not fail
    reset: limits.control.reset,
    execute: dual(isDataFirst, execute),
    gate: limits,
    members: [limits],
    store
  }
}

/** A service whose key and error are narrower than what the engine can do: `Policy` decides both. */
const narrow = <Key2, Error>(service: RateLimiterService<Key, RateLimitExceeded>) =>
  service as unknown as RateLimiterService<Key2, Error>

export const make = <Key2, Error>(id: string, policy: Policy): Effect.Effect<RateLimiterService<Key2, Error>> =>
  Effect.sync(() => narrow(build(id, policy, transactionalMemory)))

export const makeFromStore = <Key2, Error>(
  id: string,
  policy: Policy
): Effect.Effect<RateLimiterService<Key2, Error>, never, Store | Scope.Scope> =>
  fromStore("RateLimiter", id, (store) => narrow(build(id, policy, store)))
