/**
 * Never more than the stated bound, over every trailing window of what started, whatever the callers do: waits,
 * interruptions at any turn, refusals, time that jumps, a wall clock that steps back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { int } from "../kernel/laws.ts"
import {
  broken,
  type Definition,
  definitions,
  type Numbers,
  numbers,
  type Of,
  seed,
  type Start
} from "./definitions.ts"
import { Crowd, doors, type MakeDoor, maxOpsOf } from "./door.ts"

const Act = Arbitrary.all({ gap: int(0, 99), what: int(0, 99), size: int(0, 99), pick: int(0, 99), turns: int(0, 99) })
type Act = Of<typeof Act>
const acts = Arbitrary.array(Act, { minLength: 1, maxLength: 80 })

const gapOf = ({ gap, size }: Act, { window }: Numbers): number =>
  gap < 45
    ? 0
    : gap < 65
      ? 1 + (size % 3)
      : gap < 85
        ? Math.floor((window * size) / 60)
        : gap < 96
          ? window - 1 + (size % 3)
          : 40 * window

const KEYS = ["a", "b"] as const

const play = (
  definition: Definition,
  make: MakeDoor,
  given: {
    readonly numbers: Numbers
    readonly acts: ReadonlyArray<Act>
    readonly maxOps: number
    readonly maxWait: number
  }
): number => {
  const { numbers } = given
  const door = make(
    definition.make(numbers, given.maxWait === 0 ? {} : { maxWait: given.maxWait }),
    maxOpsOf(given.maxOps)
  )
  const { service, world } = door
  const crowd = new Crowd(door)
  const starts: Record<string, Array<Start>> = { a: [], b: [] }
  for (const act of given.acts) {
    const { pick, size, turns, what } = act
    const until = world.now + gapOf(act, numbers)
    for (let i = 0; i < turns % 12 && world.turn(until); i++) {
      /* some turns of what is under way */
    }
    if (turns < 70) world.runTo(until)
    const key = KEYS[pick % 3 === 0 ? 1 : 0]
    const cost = size < 60 ? 1 : 1 + (size % definition.capacity(numbers))
    const start = Effect.sync(() => {
      starts[key]!.push({ at: world.now, cost })
    })
    if (what < 15 && service !== undefined) {
      crowd.fork(Effect.flatMap(service.allow(key, { cost }), (allowed) => (allowed ? start : Effect.void)))
    } else if (what < 25 && service !== undefined) {
      crowd.fork(Effect.andThen(service.acquire(key, { cost }), start))
    } else if (what < 75) {
      const rest = size % 3 === 0 ? Effect.void : size % 3 === 1 ? Effect.sleep(size) : Effect.fail("no")
      const maxWait = pick % 5 === 0 ? 2 * numbers.window : given.maxWait
      crowd.fork(door.run(Effect.andThen(start, rest), key, { cost, maxWait }))
    } else if (what < 94) crowd.interrupt(pick)
    else world.skew = (size - 80) * 60_000
  }
  world.runOut()
  for (const key of KEYS) assert.isUndefined(broken(definition, numbers, starts[key]!), `too much for ${key}`)
  assert.deepStrictEqual(door.debris(), door.clean)
  return starts["a"]!.length
}

const runs = { "its own service": 120, "a pipeline": 80, "a pipeline on a store elsewhere": 60 } as Record<
  string,
  number
>

describe(`at most (BOUNDS_SEED=${seed})`, () => {
  for (const [limit, definition] of Object.entries(definitions)) {
    for (const [name, door] of Object.entries(doors)) {
      it.effect.prop(
        `a ${limit} in ${name}`,
        { numbers, acts, maxOps: int(0, 99), maxWait: Arbitrary.map(int(0, 3), (i) => [0, 20, 200, 86_400_000][i]!) },
        (given) => Effect.sync(() => play(definition, door, given)),
        {
          timeout: 120_000,
          arbitrary: { runs: Math.ceil(runs[name]! * Number(process.env["LAWS_RUNS"] ?? 1)), size: 300, seed }
        }
      )
    }
  }
})
