/**
 * Trip policies of a user's own, beside those of the kernel.
 *
 * They are functions, so they run in this process only: the kernel's state is kept as it is, with a state for each of them
 * beside it. What the kernel does not count (a permit that is not known, a call that is ignored), they are not asked about.
 */
import {
  breaker,
  type BreakerDecision,
  type BreakerInput,
  type BreakerPolicy,
  type BreakerRecord,
  type BreakerState,
  type Opener
} from "../kernel/Breaker.ts"
import { answer, type Transition } from "../kernel/BreakerInput.ts"
import { open } from "../kernel/BreakerPhase.ts"
import type { Kernel } from "../kernel/Kernel.ts"

/** How a call ended that a closed circuit counts. @category models @since 0.1.0 */
export interface TripInput {
  readonly outcome: "success" | "failure"
  /** Milliseconds that its longest attempt took. */
  readonly duration: number
}

/** What `CircuitBreaker.trip` is made of. @category models @since 0.1.0 */
export interface TripKernel<State> {
  /** Its name and version, such as `"errors-by-hour@1"`: for errors, events and metrics. */
  readonly id: string
  /** Where a circuit begins that is new, or closes. */
  readonly initial: State
  /** Counts one call, at `now` in milliseconds, and says whether the circuit opens. It must not change the `state` it is given. */
  readonly step: (state: State, input: TripInput, now: number) => readonly [opens: boolean, state: State]
  /** From when on the state is as good as `initial`: then the circuit may be forgotten. `undefined`: never. */
  readonly expiresAt: (state: State) => number | undefined
}

// oxlint-disable-next-line typescript/no-explicit-any -- each is asked with the states that it made
export type OwnTrip = TripKernel<any>

export type BreakerKernel = Kernel<BreakerPolicy, BreakerState, BreakerInput, BreakerDecision>

/** The trip policies of a user's own that a circuit has. */
export interface OwnTrips {
  readonly trips: ReadonlyArray<OwnTrip>
  readonly kernelOf: (trips: ReadonlyArray<OwnTrip>) => BreakerKernel
}

interface Kept {
  readonly state: unknown
  /** Asked for when the state was made, so that what a user's function throws reaches the call that reports, and no other. */
  readonly expiresAt: number | undefined
}

interface OwnState extends BreakerState {
  readonly own: ReadonlyArray<Kept>
}

/** Later than every time, as in the kernel's own ranks. */
const TIMES = 2 ** 42

const isCounted = (state: BreakerState, input: BreakerInput): input is BreakerRecord =>
  input.op === "record" &&
  state.phase === "Closed" &&
  input.probe === 0 &&
  input.generation === state.generation &&
  (input.outcome === "success" || input.outcome === "failure")

/** The kernel, with these trip policies beside those of its policy. */
export const withOwn = (trips: ReadonlyArray<OwnTrip>): BreakerKernel => {
  const fresh: ReadonlyArray<Kept> = trips.map(({ initial }) => ({ state: initial as unknown, expiresAt: 0 }))
  const keep = (state: BreakerState, own: ReadonlyArray<Kept>): OwnState => ({ ...state, own })

  /** What each makes of a call, and the first that opens. */
  const count = (own: ReadonlyArray<Kept>, { duration, outcome }: BreakerRecord, now: number) => {
    let by: string | undefined
    const input = { outcome: outcome as TripInput["outcome"], duration } // it is counted
    const next = trips.map((trip, i) => {
      const before = own[i]! // there is one for each
      const [opens, state] = trip.step(before.state, input, now)
      if (opens) by ??= trip.id
      if (Object.is(state, before.state)) return before
      const end = trip.expiresAt(state)
      return { state, expiresAt: end === undefined || !Number.isFinite(end) ? undefined : Math.ceil(end) }
    })
    return { by, own: next.every((kept, i) => kept === own[i]) ? own : next }
  }

  return {
    ...breaker,
    id: [breaker.id, ...trips.map(({ id }) => id)].join("+"),
    initial: (policy) => keep(breaker.initial(policy), fresh),
    step: (policy, given, input, now) => {
      const before = (given as OwnState).own // only states of this kernel come here
      const [told, next] = breaker.step(policy, given, input, now)
      if (next.generation !== given.generation) return [told, keep(next, fresh)]
      if (!isCounted(given, input)) return [told, next === given ? given : keep(next, before)]
      const { by, own } = count(before, input, now)
      if (by === undefined) return [told, next === given && own === before ? given : keep(next, own)]
      const transitions: Array<Transition> = []
      // a name is only read back as a string, and a state with one of these never leaves this process
      const cause = {
        at: Math.max(now, next.since),
        retryAfter: input.retryAfter,
        draw: input.draw,
        by: by as Opener
      }
      const opened = keep(open(policy, next, cause, transitions), fresh)
      return answer(opened, 0, 0, transitions, opened)
    },
    expiresAt: (policy, state) => {
      let time = breaker.expiresAt(policy, state)
      for (const { expiresAt } of (state as OwnState).own) {
        if (time === undefined || expiresAt === undefined) return undefined
        time = Math.max(time, expiresAt)
      }
      return time
    },
    rank: (policy, state) => {
      const rank = breaker.rank!(policy, state) // it has one
      const { own } = state as OwnState
      if (state.phase !== "Closed" || own === fresh) return rank
      const until = Math.max(...own.map(({ expiresAt = TIMES }) => expiresAt))
      return Math.max(rank, TIMES + Math.min(until, TIMES - 1)) // as one failure that is counted
    }
  }
}

/** The states of some trip policies in a circuit, by their ids. */
export const ownStates = (
  trips: ReadonlyArray<OwnTrip>,
  state: BreakerState | undefined
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    trips.map(({ id, initial }, i) => [
      id,
      state === undefined ? (initial as unknown) : (state as OwnState).own[i]!.state
    ]) // only states of this kernel come here
  )
