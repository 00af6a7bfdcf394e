/**
 * Plays one set-up: calls that come at random, through the real pipeline, in virtual time.
 */
import { Effect } from "effect"
import { World } from "effect-resilience-testing/World"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import * as RateLimiter from "../../src/RateLimiter.ts"
import * as Resilience from "../../src/Resilience.ts"
import { BURST, type Door, filled, LIMIT, natureOf, roomOf, SLOTS, slotsFor } from "./capacity.ts"
import { drawOf, type Shape, timeOf } from "./times.ts"

/** From `from` (milliseconds) on, until the next phase. */
export interface Phase {
  readonly from: number
  /** Of the times that attempts take. `Infinity`: the dependency hangs. */
  readonly mean: number
}

export interface Setup {
  readonly name: string
  readonly door: Door
  readonly shape: Shape
  readonly phases: ReadonlyArray<Phase>
  /** The calls that come, as a multiple of those that there is room for. While the dependency hangs: as before. */
  readonly load: number
  /** The calls come together, `size` of them every `every` milliseconds, and not at random. */
  readonly batches?: { readonly size: number; readonly every: number }
  /** Calls that came before are not counted. Milliseconds. */
  readonly countsFrom?: number
  /** Of the call, and the longest wait. Milliseconds, 1,000 if not given. */
  readonly timeout?: number
  /** What the circuit does: `stays` closed (if not given), has to open, or either. */
  readonly circuit?: "stays" | "opens" | "either"
  readonly seconds: number
}

export interface Figures {
  /** Calls that succeeded, over those that can. */
  readonly goodput: number
  /** The same, over all that the slots and limits have room for, though nobody may come to fill it. */
  readonly ofRoom: number
  /** Calls that were cut off and would have ended within the whole timeout, over those that began. */
  readonly cut: number
  /** All calls that were cut off, over those that began. */
  readonly cutAtAll: number
  readonly refusedByCircuit: number
  /** When the circuit refused its first call, in milliseconds since the last phase began. */
  readonly openedAfter: number | undefined
}

const USERS = 3

type Through = (self: Effect.Effect<void>, user: number) => Effect.Effect<void, { readonly _tag: string }>

const serviceOf = (door: Door, world: World, limit: number, timeout: number): Through => {
  const circuitBreaker = CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "10 seconds", minimumCalls: 20 }),
    openDuration: "10 seconds"
  })
  const bulkhead = Bulkhead.policy({ maxConcurrent: SLOTS, maxWait: timeout })
  const one = RateLimiter.tokenBucket({ limit, window: "1 second", burst: BURST, maxWait: timeout })
  const always = { timeout, circuitBreaker }
  if (door === "slots") {
    const service = world.get(Resilience.make("overload", { ...always, bulkhead }))
    return (self) => service.resilient(self, "key")
  }
  if (door === "limit") {
    const service = world.get(Resilience.make("overload", { ...always, rateLimiter: one }))
    return (self) => service.resilient(self, "key")
  }
  if (door === "both") {
    const service = world.get(Resilience.make("overload", { ...always, bulkhead, rateLimiter: one }))
    return (self) => service.resilient(self, "key")
  }
  const rateLimiter = RateLimiter.every({ user: one, global: RateLimiter.shared(one) })
  const service = world.get(Resilience.make("overload", { ...always, rateLimiter }))
  return (self, user) => service.resilient(self, { user: `user ${user}` })
}

/** Calls that came at a time that counts. */
class Counted {
  offered = 0
  started = 0
  succeeded = 0
  cut = 0
  cutAtAll = 0
}

export const play = (setup: Setup, seed: number): Figures => {
  const { batches, countsFrom = 0, door, load, phases, seconds, shape, timeout = 1000 } = setup
  const first = natureOf(shape, phases[0]!.mean, timeout)
  const limit = door === "both" ? Math.max(1, Math.round(slotsFor(first))) : LIMIT
  const world = new World({ maxTurns: Infinity })
  const through = serviceOf(door, world, limit, timeout)
  const [arrives, takes] = [drawOf(seed), drawOf(seed + 1_000_003)] // a call that does not start draws no time
  const parts = phases.map((phase, i) => {
    const mean = phase.mean === Infinity ? phases[i - 1]!.mean : phase.mean
    const nature = natureOf(shape, mean, timeout)
    return { ...phase, nature, room: roomOf(door, nature, limit), offered: 0, started: 0, ends: 0, occupies: 0 }
  })
  const partAt = (time: number) => parts.findLast(({ from }) => from <= time)!

  const [counted, others] = [new Counted(), new Counted()]
  let refusedByCircuit = 0
  let openedAt: number | undefined
  const call = (): void => {
    const counts = world.elapsed >= countsFrom
    const into = counts ? counted : others
    into.offered++
    if (counts) partAt(world.elapsed).offered++
    let time: number | undefined
    const body = Effect.suspend(() => {
      const part = partAt(world.elapsed)
      const { mean } = part
      into.started++
      time = mean === Infinity ? Infinity : timeOf(shape, mean, takes)
      part.started++
      if (time < timeout) part.ends++
      part.occupies += Math.min(time, timeout)
      return time === Infinity ? Effect.never : Effect.sleep(time)
    })
    const onFailure = ({ _tag }: { readonly _tag: string }) => {
      if (_tag === "CircuitOpen") {
        refusedByCircuit++
        openedAt ??= world.elapsed
      }
      if (_tag !== "TimeoutExceeded" || time === undefined) return
      into.cutAtAll++
      if (time < timeout) into.cut++
    }
    const onSuccess = () => void into.succeeded++
    world.fork(Effect.match(through(body, Math.floor(arrives() * USERS)), { onSuccess, onFailure }))
  }

  const gap = (now: number): number => batches?.every ?? (-Math.log(1 - arrives()) * 1000) / (load * partAt(now).room)
  for (let next = gap(0); next < seconds * 1000; next += gap(next)) {
    world.advance(Math.floor(next) - world.elapsed)
    for (let i = 0; i < (batches?.size ?? 1); i++) call()
  }
  world.advance(2 * timeout)

  // of the calls that came and the times that were drawn: else chance would decide, where a seed has few of them
  let [room, allowed] = [0, 0]
  parts.forEach(({ ends, from, mean, nature, occupies, offered, started }, i) => {
    const lasts = ((parts[i + 1]?.from ?? seconds * 1000) - Math.max(from, countsFrom)) / 1000
    if (mean === Infinity || lasts <= 0 || started === 0) return
    const drawn = { p95: nature.p95, ends: ends / started, occupies: occupies / started }
    const attempts = lasts * roomOf(door, drawn, limit)
    room += Math.min(attempts, offered) * drawn.ends
    allowed += filled(door, drawn, offered / attempts, timeout) * attempts * drawn.ends
  })
  if (batches !== undefined) room = allowed = counted.offered
  const part = (of: number) => (counted.started === 0 ? 0 : of / counted.started)
  return {
    goodput: counted.succeeded / allowed,
    ofRoom: counted.succeeded / room,
    cut: part(counted.cut),
    cutAtAll: part(counted.cutAtAll),
    refusedByCircuit,
    openedAfter: openedAt === undefined ? undefined : openedAt - phases.at(-1)!.from
  }
}
