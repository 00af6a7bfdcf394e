/** Random policies and inputs for every kernel, drawn from one seed. */
import type { Kernel } from "effect-resilience/kernel/Kernel"
import type { BreakerInput, BreakerPolicy, Trip } from "effect-resilience/kernel/Breaker"
import { breaker } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { lease } from "effect-resilience/kernel/Lease"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { guests } from "./kernels/guests.ts"

export type Draw = (below: number) => number

/** mulberry32. */
export const drawsOf = (seed: number): Draw => {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

export const pick = <A>(draw: Draw, all: ReadonlyArray<A>): A => all[draw(all.length)]!

/** Small, so that edges are met; sometimes so large that only doubles hold it. */
const size = (draw: Draw): number => 1 + draw(pick(draw, [3, 10, 100, 100_000]))

// oxlint-disable-next-line typescript/no-explicit-any -- a list of kernels of every kind
type AnyKernel = Kernel<any, any, any, any>

export interface Subject {
  readonly kernel: AnyKernel
  readonly policy: (draw: Draw) => unknown
  /** An input, given what was answered before. */
  readonly input: (draw: Draw, policy: never, answers: ReadonlyArray<never>) => unknown
}

interface Limited {
  readonly limit: number
  readonly burst?: number
}

const limiterInput = (
  draw: Draw,
  { burst, limit }: Limited,
  answers: ReadonlyArray<{ readonly allowed: boolean; readonly receipt: unknown }>
) => {
  const what = draw(100)
  const most = burst ?? limit
  const taken = answers.filter(({ allowed }) => allowed)
  if (what < 25 && taken.length > 0) return { op: "refund", receipt: pick(draw, taken.slice(-6)).receipt }
  if (what < 27) return { op: "reset" }
  return { op: "take", cost: what < 60 ? 1 : what < 65 ? most : what < 68 ? most + 1 : draw(most + 1) }
}

const trip = (draw: Draw): Trip => {
  if (draw(3) === 0) return { kind: "consecutive", failures: 1 + draw(4), within: pick(draw, [0, 0, 50, 400]) }
  if (draw(4) === 0) return { kind: "failures", failures: 1 + draw(4), within: pick(draw, [1, 50, 400]) }
  const byCalls = draw(2) === 0
  return {
    kind: "rate",
    slowAfter: pick(draw, [0, 0, 20, 60]),
    threshold: (1 + draw(30)) / 30,
    minimumCalls: 1 + draw(5),
    calls: byCalls ? 5 + draw(80) : 0,
    slice: byCalls ? 0 : 1 + draw(40),
    slices: byCalls ? 0 : 1 + draw(10)
  }
}

const circuit = (draw: Draw): BreakerPolicy => {
  const permitted = 1 + draw(4)
  const low = Array.from({ length: 1 + draw(3) }, () => 1 + draw(100))
  return {
    trips: Array.from({ length: 1 + draw(3) }, () => trip(draw)),
    openLow: low,
    openHigh: low.map((low) => low + draw(200)),
    openGrowth: pick(draw, [0, 0, 2, 1.7, 3]),
    openCap: 300 + draw(1_000),
    permitted,
    required: 1 + draw(permitted),
    lease: pick(draw, [0, 20, 200])
  }
}

const circuitInput = (
  draw: Draw,
  _policy: BreakerPolicy,
  answers: ReadonlyArray<{ readonly generation: number; readonly probe: number }>
): BreakerInput => {
  const what = draw(100)
  if (what < 40) return { op: "admit", draw: draw(2 ** 30) }
  if (what >= 96) return { op: pick(draw, ["isolate", "close", "close", "reset"]) }
  const { generation, probe } = answers.length === 0 ? { generation: 0, probe: 0 } : pick(draw, answers.slice(-5))
  if (what >= 90) return { op: "slow", generation, probe, rank: draw(3), draw: draw(2 ** 30) }
  const outcome = pick(draw, ["success", "success", "failure", "failure", "throttled", "ignored"] as const)
  const retryAfter = draw(4) === 0 ? draw(500) : 0
  return {
    op: "record",
    generation,
    probe,
    outcome,
    duration: draw(100),
    slowFed: draw(3),
    retryAfter,
    draw: draw(2 ** 30)
  }
}

const names = [
  "",
  "ada",
  "a b",
  "100%",
  "'",
  "\u0000",
  "é",
  "\ud83d\ude00",
  "\ud800",
  "\udc00\ud800",
  "\n",
  "~",
  "a'%41",
  "x".repeat(300)
]

export const subjects: ReadonlyArray<Subject> = [
  {
    kernel: tokenBucket,
    policy: (draw) => ({ limit: size(draw), window: size(draw), burst: size(draw) }),
    input: limiterInput
  },
  {
    kernel: lease,
    policy: (draw) => ({ limit: size(draw), window: size(draw), burst: size(draw) }),
    input: (draw, { burst }: Limited) => {
      const cost = 1 + draw(pick(draw, [1, 3, burst! + 2]))
      return { cost, most: cost + draw(pick(draw, [1, 10, burst! * 2])) }
    }
  },
  { kernel: fixedWindow, policy: (draw) => ({ limit: size(draw), window: size(draw) }), input: limiterInput },
  {
    kernel: slidingWindow,
    policy: (draw) => ({ limit: size(draw), slice: size(draw), slices: 1 + draw(12) }),
    input: limiterInput
  },
  { kernel: slidingLog, policy: (draw) => ({ limit: size(draw), window: size(draw) }), input: limiterInput },
  { kernel: breaker, policy: circuit, input: circuitInput },
  {
    kernel: guests,
    policy: (draw) => ({ seats: draw(5), host: pick(draw, names) }),
    input: (draw) =>
      draw(2) === 0
        ? { op: "come", name: pick(draw, names), child: draw(2) === 0 }
        : { op: "leave", name: pick(draw, names) }
  }
]
