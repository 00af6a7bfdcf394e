/**
 * How many calls can succeed at most: what the bounds compare with.
 */
import { drawOf, type Shape, timeOf } from "./times.ts"

/** What a set-up's calls wait for. */
export type Door = "slots" | "limit" | "both" | "every"

export const SLOTS = 10
export const LIMIT = 66
export const BURST = 10

/** What attempts are like that all have the whole timeout. */
export interface Nature {
  /** The part that ends within the timeout. */
  readonly ends: number
  /** How long an attempt occupies a slot: until it ends, or is cut off. Milliseconds, the mean. */
  readonly occupies: number
  /** Nineteen in twenty end sooner. Milliseconds, at most the timeout. */
  readonly p95: number
}

const SAMPLES = 20_000
const known = new Map<string, Nature>()

export const natureOf = (shape: Shape, mean: number, timeout: number): Nature => {
  const name = `${shape} ${mean} ${timeout}`
  let nature = known.get(name)
  if (nature === undefined) {
    const draw = drawOf(1)
    const times = Array.from({ length: SAMPLES }, () => timeOf(shape, mean, draw)).sort((a, b) => a - b)
    nature = {
      ends: times.filter((time) => time < timeout).length / SAMPLES,
      occupies: times.reduce((sum, time) => sum + Math.min(time, timeout), 0) / SAMPLES,
      p95: Math.min(timeout, times[Math.ceil(0.95 * SAMPLES) - 1]!)
    }
    known.set(name, nature)
  }
  return nature
}

/** How many attempts the slots have room for, in a second. */
export const slotsFor = ({ occupies }: Nature): number => (SLOTS * 1000) / occupies

/** Attempts a second. `limit`: of the rate limiter, which `slots` has not. */
export const roomOf = (door: Door, nature: Nature, limit: number): number =>
  door === "slots" ? slotsFor(nature) : door === "both" ? Math.min(slotsFor(nature), limit) : limit

/** The part of the calls that find all slots taken, where none may wait (Erlang's loss formula). */
const lost = (load: number): number => {
  let part = 1
  for (let n = 1; n <= SLOTS; n++) part = (load * SLOTS * part) / (n + load * SLOTS * part)
  return part
}

/**
 * The part of the room that calls can fill which come at random. All of it, where they may wait. Where an attempt takes
 * nearly the whole timeout, none may: then a slot that becomes free stays so until the next call comes.
 */
export const filled = (door: Door, { p95 }: Nature, load: number, timeout: number): number => {
  const mayWait = p95 < 0.9 * timeout
  if (mayWait || door === "limit" || door === "every") return Math.min(1, load) // tokens do not go while nobody comes
  return load * (1 - lost(load))
}
