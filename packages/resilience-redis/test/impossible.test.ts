/** Values whose words are all right by themselves, and which no policy leaves: they are damaged, and not believed. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { breaker } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Command, Step } from "effect-resilience/Store"
import { Home } from "../src/internal/home.ts"
import { Kernels } from "../src/internal/kernels.ts"
import { guests as compiled } from "./generated/guests.ts"
import { guests } from "./kernels/guests.ts"
import { missing, type Server, skipped, startRedis } from "./servers.ts"
import { storeOf, storeOn } from "./support.ts"

vi.setConfig({ testTimeout: 120_000 })

const kernels = new Kernels([compiled])
const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
const spaceOf = (kernel: AnySpace["kernel"], policy: unknown, isLimit = true): AnySpace => ({
  name: "s/space",
  kernel,
  policy,
  isLimit,
  keys
})
const homeOf = (space: AnySpace) => new Home(space, "test", kernels.find(space.kernel.id))
const takes = { op: "take", cost: 1 }
const fails = { op: "record", generation: 0, probe: 0, outcome: "failure" }
const failure = { ...fails, duration: 0, slowFed: 0, retryAfter: 0, draw: 0 }
const circuit = {
  trips: [
    { kind: "consecutive", failures: 5, within: 3_600_000 },
    { kind: "consecutive", failures: 5, within: 0 },
    { kind: "rate", slowAfter: 0, threshold: 0.5, minimumCalls: 9, calls: 40, slice: 0, slices: 0 },
    { kind: "rate", slowAfter: 0, threshold: 0.5, minimumCalls: 9, calls: 0, slice: 3_600_000, slices: 4 }
  ],
  openLow: [50],
  openHigh: [50],
  openGrowth: 0,
  openCap: 50,
  permitted: 1,
  required: 1,
  lease: 60_000
}

interface Subject {
  readonly space: AnySpace
  readonly input: object
  readonly commands: ReadonlyArray<string>
  /** Policies that there cannot be, and one that may take over. */
  readonly policies: ReadonlyArray<object>
  readonly next: object
  /** The lists of a state, each with the way to it. */
  readonly lists: ReadonlyArray<ReadonlyArray<string | number>>
}

const subjects: ReadonlyArray<Subject> = [
  {
    space: spaceOf(tokenBucket, { limit: 3, window: 3_600_000, burst: 3 }),
    next: { limit: 4, window: 3_600_000, burst: 4 },
    policies: [
      { limit: 0, window: 3_600_000, burst: 3 },
      { limit: 3, window: 0, burst: 3 },
      { limit: 3, window: 3_600_000, burst: 0.5 }
    ],
    lists: []
  },
  {
    space: spaceOf(fixedWindow, { limit: 3, window: 2 ** 40 }),
    next: { limit: 4, window: 2 ** 40 },
    policies: [
      { limit: 3, window: 0 },
      { limit: 3, window: 0.5 },
      { limit: 3, window: -5 },
      { limit: 2.5, window: 2 ** 40 },
      { limit: 3, window: 2 ** 60 }
    ],
    lists: []
  },
  {
    space: spaceOf(slidingWindow, { limit: 3, slice: 3_600_000, slices: 4 }),
    next: { limit: 4, slice: 3_600_000, slices: 4 },
    policies: [
      { limit: 3, slice: 0, slices: 4 },
      { limit: 0, slice: 3_600_000, slices: 4 },
      { limit: 3, slice: 3_600_000, slices: 4.5 },
      { limit: 3, slice: 3_600_000, slices: 5 } // it leaves a count more
    ],
    lists: [["counts"]]
  },
  {
    space: spaceOf(slidingLog, { limit: 3, window: 3_600_000 }),
    next: { limit: 4, window: 3_600_000 },
    policies: [
      { limit: 3, window: 0 },
      { limit: 0.5, window: 3_600_000 }
    ],
    lists: [["times"], ["counts"]]
  }
].map((subject) => ({ ...subject, input: takes, commands: ["reset"] }))

const all: ReadonlyArray<Subject> = [
  ...subjects,
  {
    space: spaceOf(breaker, circuit, false),
    input: failure,
    commands: ["reset", "close", "isolate"],
    next: { ...circuit, permitted: 2 },
    policies: [
      { ...circuit, trips: [] },
      { ...circuit, trips: circuit.trips.slice(1) },
      { ...circuit, trips: circuit.trips.toReversed() },
      { ...circuit, trips: circuit.trips.map((trip) => ({ ...trip, minimumCalls: 0, failures: 0 })) },
      { ...circuit, trips: circuit.trips.map((trip) => ({ ...trip, threshold: 1.5, within: -1 })) },
      { ...circuit, openLow: [] },
      { ...circuit, openHigh: [0.5] },
      { ...circuit, openGrowth: -1 },
      { ...circuit, openCap: -1 },
      { ...circuit, required: 0 },
      { ...circuit, permitted: 1, required: 2 },
      { ...circuit, lease: 0.5 }
    ],
    lists: [
      ["windows"],
      ["windows", 0, "cells"],
      ["windows", 1, "cells"],
      ["windows", 2, "cells"],
      ["windows", 3, "cells"]
    ]
  }
]

/** A copy with one list of it made shorter, where it is not empty, and one with it made longer. */
const stretched = (state: unknown, way: ReadonlyArray<string | number>): ReadonlyArray<unknown> =>
  [-1, 1].flatMap((by) => {
    const copy = structuredClone(state)
    const list = way.reduce<never>((at, name) => at[name as never], copy as never) as Array<unknown>
    if (by > 0) list.push(list.at(-1) ?? 0)
    else if (list.pop() === undefined) return []
    return [copy]
  })

const reasonOf = (exit: Exit.Exit<unknown, { readonly reason: string }>): string =>
  Option.match(Exit.findErrorOption(exit), { onNone: () => "ok", onSome: ({ reason }) => reason })

const stepOf = (space: AnySpace, input: object, key = "ada") => new Step(space, key, input as never) // of its kernel

/** What is asked of a value that was damaged, and what repairs it. */
const mustBeDamaged = (
  server: Server,
  store: Effect.Success<ReturnType<typeof storeOf>>,
  { commands, input, space }: Pick<Subject, "commands" | "input" | "space">,
  key: string,
  value: string
) =>
  Effect.gen(function* () {
    for (const op of commands) {
      server.command("SET", key, value)
      const asked = [
        store.commit([stepOf(space, input)]),
        store.commit([stepOf(space, input, "bob"), stepOf(space, input)]),
        store.read(space, "ada")
      ]
      const exits = yield* Effect.all(
        asked.map((one) => Effect.exit<unknown, { readonly reason: string }, never>(one)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(reasonOf), ["damaged", "damaged", "damaged"], value)
      assert.strictEqual(server.command("GET", key), value, "it is not written over")
      assert.isTrue((yield* store.commit([stepOf(space, input, "bob")])).allowed, "another key is served")
      server.command("DEL", key.replace(/ada$/, "bob"))
      yield* store.commit([new Command(space, "ada", { op } as never)]) // of its kernel
      assert.strictEqual(reasonOf(yield* Effect.exit(store.commit([stepOf(space, input)]))), "ok", `${op} of ${value}`)
    }
  })

describe.skipIf(missing !== undefined)(`a value in Redis that no policy leaves${skipped}`, () => {
  for (const subject of all) {
    const { input, lists, next, policies, space } = subject
    it.live(`is damaged, of ${space.kernel.id}`, () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const store = yield* storeOf(yield* storeOn(server))
        const home = homeOf(space)
        assert.isTrue((yield* store.commit([stepOf(space, input)])).allowed)
        const key = server.command("KEYS", "*:ada")
        const value = server.command("GET", key)
        const { state } = yield* store.read(space, "ada")
        const words = home.writeState(state)
        assert.include(value, words)
        const bad = lists.flatMap((way) => stretched(state, way))
        if (space.kernel.id === breaker.id) {
          const { trial } = state as { readonly trial: object } // of a circuit
          const probe = { id: 1, deadline: 2 ** 50 }
          bad.push(
            { ...(state as object), phase: "Melted" },
            { ...(state as object), phase: "closed" },
            { ...(state as object), openedBy: "nothing" }
          )
          bad.push({ ...(state as object), trial: { ...trial, probes: [probe, { ...probe, id: 2 }] } })
        }
        assert.strictEqual(bad.length > 0, lists.length > 0)
        for (const [i, one] of bad.entries()) {
          const asked = i === 0 ? subject : { ...subject, commands: ["reset"] }
          yield* mustBeDamaged(server, store, asked, key, value.replace(words, home.writeState(one)))
        }
        // another policy would take over what it owed
        const other = { ...space, policy: next }
        for (const policy of policies) {
          const strange = value.replace(` ${home.policyWord} `, ` ${homeOf({ ...space, policy }).policyWord} `)
          assert.notStrictEqual(strange, value)
          yield* mustBeDamaged(server, store, { input, space: other, commands: ["reset"] }, key, strange)
        }
        server.command("SET", key, value)
        assert.strictEqual(reasonOf(yield* Effect.exit(store.commit([stepOf(other, input)]))), "ok")
      })
    )
  }

  it.live("is damaged where a text is not as a text is written", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server, { kernels: [compiled] }))
      const space = spaceOf(guests, { seats: 9, host: "é~" }, false)
      const input = { op: "come", name: "é 😀 \ud800", child: true }
      assert.isTrue((yield* store.commit([stepOf(space, input)])).allowed)
      const key = server.command("KEYS", "*:ada")
      const value = server.command("GET", key)
      const text = "'%C3%A9%20%F0%9F%98%80%20%ED%A0%80"
      assert.include(value, text)
      const repaired = { commands: ["leave"], input, space }
      for (const broken of [
        "'%",
        "'%4",
        "'%zz",
        "'%41",
        "'~",
        "'%c3%A9",
        "'%C3",
        "'%C3a",
        "'%A9",
        "'%FF",
        "'%C0%80",
        "'%C1%BF",
        "'%E0%9F%BF",
        "'%E2%82",
        "'%F0%8F%BF%BF",
        "'%F4%90%80%80",
        "'%F5%80%80%80",
        "'%ED%A0%80%ED%B0%80"
      ]) {
        yield* mustBeDamaged(server, store, repaired, key, value.replaceAll(text, broken))
      }
      for (const whole of [
        "'",
        "'a",
        "'%25",
        "'%C2%80",
        "'%E0%A0%80",
        "'%EF%BF%BF",
        "'%F4%8F%BF%BF",
        "'%ED%B0%80%ED%A0%80"
      ]) {
        server.command("SET", key, value.replaceAll(text, whole))
        assert.strictEqual(reasonOf(yield* Effect.exit(store.commit([stepOf(space, input)]))), "ok", whole)
      }
      const local = spaceOf({ ...guests, id: "unknown@1" } as AnySpace["kernel"], {}, false) // the very kernel
      server.command("FLUSHALL")
      yield* store.commit([stepOf(local, input)])
      const there = server.command("KEYS", "*:ada")
      const json = server.command("GET", there)
      for (const broken of [json.replace("%C3%A9", "%C3"), json.replace(" %7B%22guests", " {%22guests"), `${json}%`]) {
        yield* mustBeDamaged(server, store, { ...repaired, space: local }, there, broken)
      }
    })
  )
})
