/**
 * The set-ups of `pnpm overload`, and what each must keep.
 */
import { type Door, natureOf, roomOf, LIMIT } from "./capacity.ts"
import { type Figures, play, type Setup } from "./play.ts"
import { type Shape, shapes } from "./times.ts"

const doors: ReadonlyArray<Door> = ["slots", "limit", "both", "every"]
// the names are `shapes`' own
const allShapes = Object.keys(shapes) as ReadonlyArray<Shape>
const loads = [1.2, 2, 5]
const fewLoads = [1.2, 5]

/** Chance has to be small beside the bounds: so many attempts, and at least 6 s. Near the load it is the gaps between calls. */
const attemptsOf = (load: number): number => (load < 2 ? 4800 : 1200)

export const steady = (door: Door, shape: Shape, mean: number, load: number, timeout = 1000): Setup => {
  const room = roomOf(door, natureOf(shape, mean, timeout), LIMIT)
  const seconds = Math.ceil(Math.max(6, attemptsOf(load) / room))
  const varied = timeout === 1000 ? "" : `, timeout ${timeout} ms`
  const name = `${door}, ${shape} ${mean} ms${varied}, x ${load}`
  return { name, door, shape, phases: [{ from: 0, mean }], load, timeout, seconds }
}

/** Every ten seconds another mean. */
const changing = (door: Door, shape: Shape, means: ReadonlyArray<number>, load: number): Setup => ({
  name: `${door}, ${shape} ${means.join(" -> ")} ms, x ${load}`,
  door,
  shape,
  phases: means.map((mean, i) => ({ from: 10_000 * i, mean })),
  load,
  seconds: 10 * means.length
})

/**
 * Slow from 5 s to 10 s, too slow for the timeout: then the circuit opens, and rightly. Counted from when it has closed
 * and the slow attempts are forgotten.
 */
const batches = (door: Door, shape: Shape, slow: number): Setup => ({
  name: `${door}, ${shape} 70 -> ${slow} -> 70 ms, batches of 15`,
  door,
  shape,
  phases: [
    { from: 0, mean: 70 },
    { from: 5000, mean: slow },
    { from: 10_000, mean: 70 }
  ],
  load: 1,
  batches: { size: 15, every: 1000 },
  countsFrom: slow < 1000 ? 11_000 : 22_000,
  circuit: "either",
  seconds: 60
})

export const hang = (door: Door, shape: Shape, load: number): Setup => ({
  name: `${door}, ${shape} 150 ms, hangs after 5 s, x ${load}`,
  door,
  shape,
  phases: [
    { from: 0, mean: 150 },
    { from: 5000, mean: Infinity }
  ],
  load,
  circuit: "opens",
  seconds: 20
})

const each = <A>(values: ReadonlyArray<A>, of: (door: Door, shape: Shape, value: A) => Setup): ReadonlyArray<Setup> =>
  doors.flatMap((door) => allShapes.flatMap((shape) => values.map((value) => of(door, shape, value))))

export const groups: Readonly<Record<string, ReadonlyArray<Setup>>> = {
  steady: [40, 150, 400, 800].flatMap((mean) => each(loads, (door, shape, load) => steady(door, shape, mean, load))),
  "other timeouts": [500, 3000].flatMap((timeout) =>
    each([2], (door, shape, load) => steady(door, shape, 0.15 * timeout, load, timeout))
  ),
  "ten times slower": each(fewLoads, (door, shape, load) => changing(door, shape, [60, 600], load)),
  "ten times faster": each(fewLoads, (door, shape, load) => changing(door, shape, [600, 60], load)),
  "slower, and back": each(fewLoads, (door, shape, load) => changing(door, shape, [40, 400, 40], load)),
  "batches after a slow phase": each([700, 1500], batches),
  "a real hang": each([0.5, 2], hang)
}

const GOODPUT = 0.9
const CUT = 0.1

/** What the figures of a set-up break. */
export const broken = ({ circuit = "stays" }: Setup, figures: Figures): ReadonlyArray<string> => {
  const { cut, goodput, refusedByCircuit } = figures
  const all: Array<string> = []
  if (circuit === "opens") {
    if (refusedByCircuit === 0) all.push("the circuit stays closed over a hang")
    return all // the calls that hang are cut, and before them there is little to count
  }
  if (goodput < GOODPUT) all.push(`goodput ${percent(goodput)}`)
  if (cut > CUT) all.push(`${percent(cut)} cut`)
  if (circuit === "stays" && refusedByCircuit > 0) all.push("the circuit opens")
  return all
}

export const percent = (part: number): string => `${(100 * part).toFixed(1)} %`

/** The figures of a set-up with each seed, and the worst of each. */
export const playAll = (
  setup: Setup,
  seeds: ReadonlyArray<number>
): { all: ReadonlyArray<Figures>; worst: Figures } => {
  const all = seeds.map((seed) => play(setup, seed))
  const most = (of: (figures: Figures) => number) => Math.max(...all.map(of))
  const opened = all.map(({ openedAfter }) => openedAfter).filter((after) => after !== undefined)
  const worst = {
    goodput: -most(({ goodput }) => -goodput),
    ofRoom: -most(({ ofRoom }) => -ofRoom),
    cut: most(({ cut }) => cut),
    cutAtAll: most(({ cutAtAll }) => cutAtAll),
    refusedByCircuit: most(({ refusedByCircuit }) => refusedByCircuit),
    openedAfter: opened.length === 0 ? undefined : Math.max(...opened)
  }
  return { all, worst }
}
