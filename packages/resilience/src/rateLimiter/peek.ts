/**
 * Looking at limits without taking anything.
 */
import * as Effect from "effect/Effect"
import { type LimiterDecision, NEVER } from "../kernel/Limiter.ts"
import type { StoreError } from "../Rejection.ts"
import type { ReadKey } from "../internal/key.ts"
import type { Space, StoreView } from "../StoreModel.ts"
import { count } from "../Validate.ts"

/**
 * A key as a limiter sees it now. A snapshot: nothing is taken, and nothing held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peek {
  /** Units that could be taken at once. For `every`, of the tightest limit. */
  readonly remaining: number
  /** Milliseconds until the key is as good as new. */
  readonly resetAfterMillis: number
  /** Calls that wait in this process. */
  readonly queued: number
  /** Milliseconds until a call of this cost would pass, if nobody else came; `undefined` when it never can. */
  readonly waitFor: (cost: number) => number | undefined
  /** The same for each limit, by name. */
  readonly limits: { readonly [name: string]: Omit<Peek, "limits"> & { readonly used: number } }
}

/** What a look needs of a gate. */
interface Limits {
  readonly store: StoreView
  readonly members: ReadonlyArray<{
    // oxlint-disable-next-line typescript/no-explicit-any -- limits of every kernel
    readonly space: Space<any, any, any, LimiterDecision<unknown>>
    readonly spec: { readonly name: string; readonly capacity: number }
    readonly keyOf: (key: ReadKey) => string
    readonly places: ReadonlyMap<string, { readonly queue: { readonly size: number } }>
  }>
}

export const peek = (gate: Limits, key: ReadKey): Effect.Effect<Peek, StoreError> =>
  Effect.map(
    Effect.forEach(gate.members, (member) => {
      const { kernel } = member.space
      const name = member.keyOf(key)
      return Effect.map(gate.store.read(member.space, name), ({ now, policy = member.space.policy, state }) => {
        const known: unknown = state ?? kernel.initial(policy)
        const ask = (cost: number): LimiterDecision<unknown> => kernel.step(policy, known, { op: "take", cost }, now)[0]
        const { remaining, resetAfter } = ask(0)
        return [
          member.spec.name,
          {
            remaining,
            used: member.spec.capacity - remaining,
            resetAfterMillis: resetAfter,
            queued: member.places.get(name)?.queue.size ?? 0,
            waitFor: (cost: number) => {
              const { retryAfter } = ask(count("RateLimiter.peek", "cost", cost))
              return retryAfter === NEVER ? undefined : retryAfter
            }
          }
        ] as const
      })
    }),
    (all): Peek => {
      const limits = Object.fromEntries(all)
      const each = Object.values(limits)
      return {
        limits,
        remaining: each.reduce((least, { remaining }) => Math.min(least, remaining), Infinity),
        resetAfterMillis: each.reduce((most, { resetAfterMillis }) => Math.max(most, resetAfterMillis), 0),
        queued: each.reduce((sum, { queued }) => sum + queued, 0),
        waitFor: (cost) => {
          const waits = each.map(({ waitFor }) => waitFor(cost) ?? Infinity)
          const longest = Math.max(0, ...waits)
          return longest === Infinity ? undefined : longest
        }
      }
    }
  )
