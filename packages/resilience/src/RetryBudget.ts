/**
 * A budget of retries: how many there may be beside the calls that succeed.
 *
 * Retries help against failures that pass, and feed an overload: where every call fails, three attempts are three times the
 * load, on a server that could not bear the load of one. Then it never recovers, also when the cause is long gone. A budget
 * lets retries through while most calls succeed, and ends them when most fail.
 *
 * `policy` keeps a balance: a retry takes from it, a success returns to it. Where more than one call in five fails, it runs
 * dry, and calls end with the error of their first attempt until successes have filled it again. `share` bounds retries to a
 * percentage of the calls.
 *
 * The balance is in memory: each process has its own.
 *
 * **Example** (Two services of one upstream share a budget)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Backoff, Resilience, Retry, RetryBudget } from "effect-resilience"
 *
 * class ShopBudget extends RetryBudget.Service<ShopBudget>()("app/ShopBudget", { capacity: 28 }) {}
 *
 * const retry = Retry.policy({ budget: ShopBudget, backoff: Backoff.constant("10 millis") })
 * class Orders extends Resilience.Service<Orders>()("app/Orders", { retry }) {}
 * class Prices extends Resilience.Service<Prices>()("app/Prices", { retry }) {}
 *
 * const program = Effect.gen(function* () {
 *   let sent = 0
 *   const down = Effect.suspend(() => Effect.fail(`503 to request ${++sent}`))
 *   console.log(yield* Effect.flip(Orders.resilient(down, "ada"))) // 503 to request 3: two retries took all
 *   console.log(yield* Effect.flip(Prices.resilient(down, "ada"))) // 503 to request 4: none is left
 * })
 *
 * const Live = Layer.mergeAll(Orders.layer, Prices.layer).pipe(Layer.provide(ShopBudget.layer))
 * Effect.runPromise(program.pipe(Effect.provide(Live)))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { emit } from "./internal/policyEvent.ts"
import { nowOf } from "./internal/time.ts"
import type { Attempt, Run } from "./Policy.ts"
import { between, count, millis } from "./Validate.ts"

/** Marks a budget's policy. @category constants @since 0.1.0 */
export const TypeId = "~effect-resilience/RetryBudget"

/** Of a budget with a balance. @category models @since 0.1.0 */
export interface Options {
  /** The balance at the beginning, and at most. Default: 500. */
  readonly capacity?: number | undefined
  /** What a retry takes. Default: 14. */
  readonly retryCost?: number | undefined
  /** What a retry takes where the error asked for a time (`retryAfter`): the server has said when it can. Default: 5, at most `retryCost`. */
  readonly throttledCost?: number | undefined
}

/** Of a budget that is a share of the calls. @category models @since 0.1.0 */
export interface ShareOptions {
  /** Retries, in percent of the calls of the window. Default: 20. */
  readonly percent?: number | undefined
  /** So many retries a second are free, so that a service with few calls can retry as well. Default: 10. */
  readonly minPerSecond?: number | undefined
  /** How long calls and retries count. Default: "10 seconds". */
  readonly window?: Duration.Input | undefined
}

/**
 * A budget, as a value: `Retry.policy({ budget })` opens one of its own for each service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly [TypeId]: typeof TypeId
  readonly options: Options | ShareOptions
  /** A new budget. */
  readonly open: () => RetryBudgetService
}

/** What a budget has. @category models @since 0.1.0 */
export interface Inspection {
  /** Not taken: in the unit of the costs, and of a share in retries. Below 0 where a share has lost the calls that it was taken for. */
  readonly balance: number
  /** How many retries could begin now, each after an error that asked for no time. */
  readonly retries: number
}

/** What a retry has taken, and when. */
interface Taken {
  readonly cost: number
  readonly at: number
}

/** How a budget counts. Times are milliseconds of the monotonic clock. */
interface Ledger {
  /** A call begins. */
  readonly began: (now: number) => void
  /** Takes what a retry costs; `undefined`, and nothing is taken, where there is too little. */
  readonly reserve: (throttled: boolean, now: number) => Taken | undefined
  /** The retry did not begin. */
  readonly giveBack: (taken: Taken) => void
  /** A call has succeeded: after its `last` retry, or without one. */
  readonly succeeded: (last: Taken | undefined) => void
  readonly look: (now: number) => Inspection
}

/** What one call has taken, as its loop of attempts reports it. @category models @since 0.1.0 */
export interface Account {
  /** Takes what a retry costs after this attempt; `false` where the budget has too little. `throttled`: its error asked for a time. */
  readonly reserve: (failed: Attempt, throttled: boolean, now: number) => boolean
  /** The retry goes on to its admission. */
  readonly begins: (attempt: Attempt) => void
  /** An attempt has failed, was not admitted, or has succeeded with a value that is worth another one. */
  readonly ended: (attempt: Attempt) => void
}

/** A budget in use. @category models @since 0.1.0 */
export interface RetryBudgetService {
  readonly inspect: Effect.Effect<Inspection>
  /** Puts an account around each call of a loop of attempts. */
  readonly around: (loop: (account: Account) => Run) => Run
}

class CallAccount implements Account {
  private readonly ledger: Ledger
  private next: Attempt | undefined
  /** An attempt is under way, or has succeeded with a value that no `retryIf` rejects. */
  private under = true
  private last: Taken | undefined
  /** Taken, and it is not known yet whether the attempt begins. */
  private pending: Taken | undefined

  constructor(ledger: Ledger) {
    this.ledger = ledger
  }

  reserve({ call, n }: Attempt, throttled: boolean, now: number): boolean {
    this.next = undefined
    this.pending = this.ledger.reserve(throttled, now)
    if (this.pending !== undefined) return true
    emit(call, "retry", "RetryRefused", { attempt: n })
    return false
  }

  begins(attempt: Attempt): void {
    this.next = attempt
    this.under = true
  }

  ended(attempt: Attempt | undefined): void {
    this.under = false
    const { pending } = this
    this.pending = undefined
    if (pending === undefined) return
    if (attempt?.started === true) this.last = pending
    else this.ledger.giveBack(pending)
  }

  /** The call has ended, however it came: also by an interruption, by the deadline or by the circuit, in the backoff. */
  finish(exit: Exit.Exit<unknown, unknown>): undefined {
    const succeeded = this.under && exit._tag === "Success"
    this.ended(this.next)
    if (succeeded) this.ledger.succeeded(this.last)
  }
}

const made = (options: Policy["options"], open: () => Ledger): Policy => ({
  [TypeId]: TypeId,
  options: Object.freeze({ ...options }),
  open: () => {
    const ledger = open()
    return {
      inspect: Effect.withFiber((fiber) => Effect.succeed(ledger.look(nowOf(fiber)))),
      around: (loop) => (attempt, now) => {
        const account = new CallAccount(ledger)
        ledger.began(nowOf(attempt.call.fiber)) // `now` is read only where a timeout or a sink needs it
        // the finalizer is on the stack before anything is taken
        return Effect.onExitPrimitive(loop(account)(attempt, now), (exit) => account.finish(exit))
      }
    }
  }
})

/** Whether a value is the policy of a budget. @category guards @since 0.1.0 */
export const isPolicy = (u: unknown): u is Policy => typeof u === "object" && u !== null && TypeId in u

/**
 * A balance. A retry takes `retryCost` (14), or `throttledCost` (5) where its error asked for a time. A call that succeeds at
 * once returns 1, one that succeeds after retries what the last of them took, up to `capacity` (500). Throws
 * `InvalidPolicyError`.
 *
 * What a retry takes is taken before its backoff, so that no call waits for a retry that will not come, and given back where
 * the attempt does not begin.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy = (options: Options = {}): Policy => {
  const module = "RetryBudget.policy"
  const capacity = count(module, "capacity", options.capacity ?? 500)
  const retryCost = count(module, "retryCost", options.retryCost ?? 14, 1, capacity)
  const throttledCost = count(module, "throttledCost", options.throttledCost ?? Math.min(5, retryCost), 1, capacity)
  return made(options, () => {
    let balance = capacity
    const add = (units: number): void => {
      balance = Math.min(capacity, balance + units)
    }
    return {
      began: () => {},
      reserve: (throttled, at) => {
        const cost = throttled ? throttledCost : retryCost
        if (balance < cost) return undefined
        balance -= cost
        return { cost, at }
      },
      giveBack: ({ cost }) => add(cost),
      succeeded: (last) => add(last?.cost ?? 1),
      look: () => ({ balance, retries: Math.floor(balance / retryCost) })
    }
  })
}

const SLICES = 10
const PARTS = 100_000

/**
 * Retries as a share of the calls: `percent` (20) of the calls of the last `window` (10 seconds), and `minPerSecond` (10) for
 * each second of it. How calls end means nothing to it. A window is counted in ten slices, the oldest of which is dropped as
 * a whole. Throws `InvalidPolicyError`.
 *
 * When: the load of retries has to be bounded by itself. A share lets its percentage of retries through in an overload, too;
 * a balance (`policy`) lets none.
 *
 * @category constructors
 * @since 0.1.0
 */
export const share = (options: ShareOptions = {}): Policy => {
  const module = "RetryBudget.share"
  const percent = between(module, "percent", options.percent ?? 20, { above: 0, max: 1_000 })
  const minPerSecond = between(module, "minPerSecond", options.minPerSecond ?? 10, { min: 0, max: 1_000_000 })
  const window = millis(module, "window", options.window ?? "10 seconds", SLICES)
  const length = Math.ceil(window / SLICES)
  // counted in parts of a retry, which are whole numbers: of 20 %, each call brings 20,000 parts
  const perCall = Math.round(percent * 1_000)
  const least = Math.round(minPerSecond * window * 100)
  return made(options, () => {
    const slices = Array.from({ length: SLICES }, () => ({ index: -1, calls: 0, retries: 0 }))
    const slice = (now: number) => {
      const index = Math.floor(now / length)
      const found = slices[index % SLICES]!
      if (found.index < index) Object.assign(found, { index, calls: 0, retries: 0 })
      return found
    }
    const left = (now: number): number => {
      const oldest = Math.floor(now / length) - SLICES
      let calls = 0
      let retries = 0
      for (const each of slices) {
        if (each.index <= oldest) continue
        calls += each.calls
        retries += each.retries
      }
      return (calls * perCall + least - retries * PARTS) / PARTS
    }
    return {
      began: (now) => void slice(now).calls++,
      reserve: (_throttled, at) => {
        if (left(at) < 1) return undefined
        slice(at).retries++
        return { cost: 1, at }
      },
      giveBack: ({ at }) => {
        const index = Math.floor(at / length)
        const found = slices[index % SLICES]!
        if (found.index === index) found.retries--
      },
      succeeded: () => {},
      look: (now) => ({ balance: left(now), retries: Math.max(0, Math.floor(left(now))) })
    }
  })
}

/**
 * A budget in use, to provide under a tag by hand.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (policy: Policy): Effect.Effect<RetryBudgetService> => Effect.sync(() => policy.open())

/** @category models @since 0.1.0 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, RetryBudgetService> {
  readonly policy: Policy
  readonly layer: Layer.Layer<Self>
  readonly inspect: Effect.Effect<Inspection, never, Self>
}

/**
 * Makes a named budget, which all services share whose retries name it: a tag, a type and its layer in one declaration. Its
 * options are those of `policy`; a `share` is given as it is.
 *
 * **Example** (A share of the calls)
 *
 * ```ts
 * import { RetryBudget } from "effect-resilience"
 *
 * class Fifth extends RetryBudget.Service<Fifth>()("app/Fifth", RetryBudget.share({ percent: 20, minPerSecond: 1 })) {}
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string>(id: Id, options: Options | Policy = {}): ServiceClass<Self, Id> => {
    const said = isPolicy(options) ? options : policy(options)
    const tag = Context.Service<Self, RetryBudgetService>()(id)
    const inspect = Effect.flatMap(tag, (service) => service.inspect)
    return Object.assign(tag, { policy: said, layer: Layer.effect(tag, make(said)), inspect })
  }
