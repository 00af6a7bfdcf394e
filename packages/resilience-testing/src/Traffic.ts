/**
 * Traffic for a simulation: when calls arrive, and whose they are.
 *
 * A traffic is a plain value. It says nothing about what the calls meet, so the same traffic can be sent to several
 * dependencies and through several pipelines. All times are whole milliseconds of virtual time, from 0.
 *
 * **Example** (A working day in five minutes, with a noisy neighbour)
 *
 * ```ts
 * import { Traffic } from "effect-resilience-testing"
 *
 * const people = Traffic.concat(
 *   Traffic.ramp({ from: 10, to: 100, over: "2 minutes" }),
 *   Traffic.poisson({ perSecond: 100 })
 * ).pipe(Traffic.keyed(Traffic.zipfKeys({ count: 50 })))
 *
 * const job = Traffic.bursts({ size: 500, every: "1 minute" }).pipe(Traffic.keyed(Traffic.oneKey("nightly-job")))
 *
 * const traffic = Traffic.merge(people, job)
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import { isKeys, type Key, type Keys } from "./Keys.ts"
import { type Arrival, CALLER, make, type Traffic, TypeId } from "./internal/traffic.ts"
import { type Draw, within } from "./internal/streams.ts"
import { count, madeBy, millis, number, refuse, such } from "./internal/validate.ts"
import { digits, time } from "./internal/words.ts"

export * from "./Keys.ts"
export * from "./Recording.ts"
export type { Arrival, Traffic } from "./internal/traffic.ts"

/**
 * Whether a value is a traffic.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTraffic = (u: unknown): u is Traffic<Key> => madeBy(TypeId, u)

/** Arrivals at times that do not depend on each other, for the key of everybody. */
const at = (description: string, length: number, begin: (draw: Draw) => () => number): Traffic =>
  make(description, length, (streams) => {
    const next = begin(streams("arrivals"))
    return () => {
      const at = next()
      return at < length ? { at, key: CALLER } : undefined
    }
  })

/**
 * Calls at equal distances: the first at 0, the next `1000 / perSecond` milliseconds later, rounded down.
 *
 * @category constructors
 * @since 0.1.0
 */
export const constant = (options: {
  /** Calls a second; a fraction is fine. */
  readonly perSecond: number
}): Traffic => {
  const perSecond = number("Traffic.constant", "perSecond", options.perSecond, { above: 0 })
  return at(`${digits(perSecond)} calls/s`, Infinity, () => {
    let n = 0
    return () => Math.floor((n++ * 1000) / perSecond)
  })
}

/** The distances of a Poisson process of one call per unit. */
const exponential = (draw: Draw): number => -Math.log(1 - draw())

/**
 * Calls that know nothing of each other, `perSecond` on average: a Poisson process, which is what many independent
 * callers look like. Quiet stretches and small bursts are part of it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const poisson = (options: {
  /** Calls a second, on average. */
  readonly perSecond: number
}): Traffic => {
  const perSecond = number("Traffic.poisson", "perSecond", options.perSecond, { above: 0 })
  return at(`${digits(perSecond)} calls/s (Poisson)`, Infinity, (draw) => {
    let units = 0
    return () => Math.floor(((units += exponential(draw)) * 1000) / perSecond)
  })
}

/**
 * `size` calls at once, `every` so often; the first burst at 0. With `within` the calls of a burst are spread evenly
 * over that time.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bursts = (options: {
  readonly size: number
  readonly every: Duration.Input
  /** Default: 0, all in the same millisecond. */
  readonly within?: Duration.Input | undefined
}): Traffic => {
  const module = "Traffic.bursts"
  const size = count(module, "size", options.size)
  const every = millis(module, "every", options.every)
  const spread = millis(module, "within", options.within ?? 0, 0)
  if (spread > every) refuse(module, "within", options.within, "is longer than the time between two bursts")
  const words = `bursts of ${digits(size)} every ${time(every)}`
  return at(spread === 0 ? words : `${words}, each within ${time(spread)}`, Infinity, () => {
    let n = 0
    return () => {
      const burst = Math.floor(n / size)
      return burst * every + Math.floor((spread * (n++ % size)) / size)
    }
  })
}

/**
 * A rate that grows (or falls) evenly from `from` to `to` calls a second, and ends after `over`. Put what follows
 * behind it with `concat`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ramp = (options: {
  /** Calls a second at the beginning; may be 0. */
  readonly from: number
  /** Calls a second at the end; may be 0. */
  readonly to: number
  readonly over: Duration.Input
  /** `"even"` (default): as regular as a ramp can be. `"poisson"`: independent callers. */
  readonly spacing?: "even" | "poisson" | undefined
}): Traffic => {
  const module = "Traffic.ramp"
  const { spacing = "even" } = options
  const from = number(module, "from", options.from, { min: 0 })
  const to = number(module, "to", options.to, { min: 0 })
  const over = millis(module, "over", options.over)
  such(module, "spacing", spacing, spacing === "even" || spacing === "poisson", '"even" or "poisson"')
  if (from + to === 0) refuse(module, "to", to, "must not be 0 where from is 0: nobody would ever call")
  const seconds = over / 1000
  const all = ((from + to) / 2) * seconds
  const slope = (to - from) / seconds
  // the time at which `n` calls have arrived: the solution of from t + slope t^2 / 2 = n
  const timeOf = (n: number): number => (2 * n) / (from + Math.sqrt(Math.max(0, from * from + 2 * slope * n)))
  const words = `a ramp from ${digits(from)} to ${digits(to)} calls/s over ${time(over)}`
  return at(spacing === "even" ? words : `${words} (Poisson)`, over, (draw) => {
    let n = 0
    let units = 0
    return () => {
      const target = spacing === "even" ? n++ : (units += exponential(draw))
      return target >= all ? Infinity : target === 0 ? 0 : Math.floor(timeOf(target) * 1000)
    }
  })
}

const traffic = <K extends Key>(module: string, parameter: string, value: Traffic<K>): Traffic<K> =>
  such(module, parameter, value, isTraffic(value), "a traffic")

/**
 * The part of a traffic before `duration`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const during: {
  (duration: Duration.Input): <K extends Key>(self: Traffic<K>) => Traffic<K>
  <K extends Key>(self: Traffic<K>, duration: Duration.Input): Traffic<K>
} = dual(2, <K extends Key>(self: Traffic<K>, duration: Duration.Input): Traffic<K> => {
  const module = "Traffic.during"
  const length = Math.min(traffic(module, "self", self).length, millis(module, "duration", duration))
  return make(`${self.description} for ${time(length)}`, length, (streams) => {
    const next = self.begin(streams)
    return () => {
      const arrival = next()
      return arrival !== undefined && arrival.at < length ? arrival : undefined
    }
  })
})

const shifted =
  <K extends Key>(next: () => Arrival<K> | undefined, by: number): (() => Arrival<K> | undefined) =>
  () => {
    const arrival = next()
    return arrival === undefined ? undefined : { at: arrival.at + by, key: arrival.key }
  }

/**
 * The same traffic, begun later. Before, there is nothing.
 *
 * @category combinators
 * @since 0.1.0
 */
export const delayed: {
  (duration: Duration.Input): <K extends Key>(self: Traffic<K>) => Traffic<K>
  <K extends Key>(self: Traffic<K>, duration: Duration.Input): Traffic<K>
} = dual(2, <K extends Key>(self: Traffic<K>, duration: Duration.Input): Traffic<K> => {
  const module = "Traffic.delayed"
  const by = millis(module, "duration", duration, 0)
  return make(`${traffic(module, "self", self).description} from ${time(by)} on`, self.length + by, (streams) =>
    shifted(self.begin(streams), by)
  )
})

/**
 * One traffic after the other. All but the last must end: cut them with `during`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const concat = <K extends Key>(...parts: readonly [Traffic<K>, ...ReadonlyArray<Traffic<K>>]): Traffic<K> => {
  const module = "Traffic.concat"
  const starts: Array<number> = []
  let length = 0
  parts.forEach((part, i) => {
    traffic(module, `parts[${i}]`, part)
    if (length === Infinity)
      refuse(module, `parts[${i - 1}]`, parts[i - 1]?.description, "never ends: cut it with during")
    starts.push(length)
    length += part.length
  })
  return make(parts.map(({ description }) => description).join(", then "), length, (streams) => {
    let i = -1
    let next: () => Arrival<K> | undefined = () => undefined
    return () => {
      let arrival = next()
      while (arrival === undefined && ++i < parts.length) {
        next = shifted(parts[i]!.begin(within(streams, i)), starts[i]!)
        arrival = next()
      }
      return arrival
    }
  })
}

/**
 * Several traffics at the same time, each with keys of its own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = <K extends Key>(...parts: readonly [Traffic<K>, ...ReadonlyArray<Traffic<K>>]): Traffic<K> => {
  parts.forEach((part, i) => traffic("Traffic.merge", `parts[${i}]`, part))
  const length = parts.reduce((longest, part) => Math.max(longest, part.length), 0)
  return make(parts.map(({ description }) => description).join(" + "), length, (streams) => {
    const nexts = parts.map((part, i) => part.begin(within(streams, i)))
    const heads = nexts.map((next) => next())
    return () => {
      let first = -1
      heads.forEach((head, i) => {
        if (head !== undefined && head.at < (heads[first]?.at ?? Infinity)) first = i
      })
      const arrival = heads[first]
      if (arrival !== undefined) heads[first] = nexts[first]!()
      return arrival
    }
  })
}

/**
 * The same traffic with other keys. They have a randomness of their own: the times stay what they were.
 *
 * @category combinators
 * @since 0.1.0
 */
export const keyed: {
  <K extends Key>(keys: Keys<K>): (self: Traffic<Key>) => Traffic<K>
  <K extends Key>(self: Traffic<Key>, keys: Keys<K>): Traffic<K>
} = dual(2, <K extends Key>(self: Traffic<Key>, keys: Keys<K>): Traffic<K> => {
  const module = "Traffic.keyed"
  such(module, "keys", keys, isKeys(keys), "made by uniformKeys, zipfKeys, oneKey or keysFrom")
  return make(`${traffic(module, "self", self).description} ${keys.description}`, self.length, (streams) => {
    const next = self.begin(streams)
    const keyOf = keys.begin(streams("keys"))
    let n = 0
    return () => {
      const arrival = next()
      return arrival === undefined ? undefined : { at: arrival.at, key: keyOf(n++) }
    }
  })
})
