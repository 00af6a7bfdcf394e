/** What the tests look at: the arrivals of a traffic as plain lists. */
import { streamsOf } from "../src/internal/streams.ts"
import type { Arrival, Key, Traffic } from "../src/Traffic.ts"

/** All arrivals before a time. */
export const arrivals = <K extends Key>(
  traffic: Traffic<K>,
  until = Infinity,
  seed = "1"
): ReadonlyArray<Arrival<K>> => {
  const next = traffic.begin(streamsOf(seed))
  const all: Array<Arrival<K>> = []
  for (let arrival = next(); arrival !== undefined && arrival.at < until; arrival = next()) all.push(arrival)
  return all
}

export const times = (traffic: Traffic<Key>, until = Infinity, seed = "1"): ReadonlyArray<number> =>
  arrivals(traffic, until, seed).map(({ at }) => at)

/** How many calls arrive in each second. */
export const perSecond = (traffic: Traffic<Key>, seconds: number, seed = "1"): ReadonlyArray<number> => {
  const counts = Array.from({ length: seconds }, () => 0)
  for (const at of times(traffic, seconds * 1000, seed)) counts[Math.floor(at / 1000)]!++
  return counts
}

export const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, each) => sum + each, 0)

export const mean = (numbers: ReadonlyArray<number>): number => sum(numbers) / numbers.length

export const variance = (numbers: ReadonlyArray<number>): number => {
  const middle = mean(numbers)
  return mean(numbers.map((each) => (each - middle) ** 2))
}
