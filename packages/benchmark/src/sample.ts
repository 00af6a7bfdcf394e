/**
 * The sampler. tinybench 6 and mitata 1 measure contestant after contestant, so on a machine that others use too their
 * ratios also tell who was busy when. Here the contestants take turns, sample by sample, and each has its median.
 */
import type { Effort, Figure } from "./model.ts"
import { median, spread } from "./statistics.ts"

export interface Contestant {
  readonly name: string
  /** Makes that many calls, and throws if one of them came out wrong. */
  readonly batch: (calls: number) => void | Promise<void>
  /** The calls of every batch, where the case says how many there are. */
  readonly calls?: number
  /** What comes before each batch, and is not measured. */
  readonly prepare?: () => void | Promise<void>
}

export interface Sampling {
  readonly samples: number
  readonly batchMillis: number
  readonly warmUpMillis: number
}

/** For what comes near to where a short run fails: the noise of few samples must not decide. */
export const thorough: Effort = { short: false }

export const samplingOf = ({ short }: Effort): Sampling =>
  short ? { samples: 16, batchMillis: 5, warmUpMillis: 200 } : { samples: 80, batchMillis: 10, warmUpMillis: 500 }

const timed = async (contestant: Contestant, calls: number): Promise<number> => {
  await contestant.prepare?.()
  const from = performance.now()
  const pending = contestant.batch(calls)
  if (pending !== undefined) await pending
  return performance.now() - from
}

/** The calls that a batch of the wanted length has, found while the contestant warms up. */
const warmUp = async (contestant: Contestant, { batchMillis, warmUpMillis }: Sampling): Promise<number> => {
  let calls = contestant.calls ?? 8
  let perCall = Infinity
  const until = performance.now() + warmUpMillis
  while (performance.now() < until) {
    const took = await timed(contestant, calls)
    perCall = Math.min(perCall, took / calls)
    calls = contestant.calls ?? Math.max(8, Math.min(calls * 4, Math.round(batchMillis / perCall)))
  }
  return calls
}

/** The median time of one call of each contestant, in nanoseconds, by name. */
export const sample = async (
  contestants: ReadonlyArray<Contestant>,
  sampling: Sampling
): Promise<ReadonlyMap<string, Figure>> => {
  const entries = contestants.map((contestant) => ({ contestant, calls: 0, samples: new Array<number>() }))
  for (const entry of entries) entry.calls = await warmUp(entry.contestant, sampling)
  for (let round = 0; round < sampling.samples; round++) {
    for (const { calls, contestant, samples } of entries) {
      samples.push(((await timed(contestant, calls)) / calls) * 1e6)
    }
    // there and back: whoever comes next pays for the garbage of the one before, and that is not always the same one
    entries.reverse()
  }
  return new Map(
    entries.map(({ contestant: { name }, samples }) => [
      name,
      { name, value: median(samples), spread: spread(samples) }
    ])
  )
}
