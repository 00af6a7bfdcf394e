/** What a row may hold, and who is told where it holds something else. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Exit } from "effect"
import { breaker } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import type { AnySpace, Step } from "effect-resilience/Store"
import { command, keys, step, Table, take } from "./table.ts"

const limit = (kernel: AnySpace["kernel"], policy: unknown): AnySpace => ({
  name: "limit",
  kernel,
  policy,
  keys,
  isLimit: true
})
const circuit: AnySpace = {
  name: "circuit",
  kernel: breaker,
  policy: {
    trips: [
      { kind: "consecutive", failures: 5, within: 0 },
      { kind: "rate", slowAfter: 0, threshold: 0.5, minimumCalls: 9, calls: 0, slice: 100, slices: 4 }
    ],
    openLow: [50],
    openHigh: [50],
    openGrowth: 0,
    openCap: 50,
    permitted: 1,
    required: 1,
    lease: 60_000
  },
  keys
}
const failure = step(circuit, {
  op: "record",
  generation: 0,
  probe: 0,
  outcome: "failure",
  duration: 0,
  slowFed: 0,
  retryAfter: 0,
  draw: 7
})

/** One of each kernel, a step that leaves a state, and how it is repaired. */
const subjects: ReadonlyArray<{ readonly space: AnySpace; readonly use: Step }> = [
  limit(tokenBucket, { limit: 5, window: 10_000, burst: 5 }),
  limit(fixedWindow, { limit: 5, window: 10_000_000 }),
  limit(slidingWindow, { limit: 5, slice: 1_000, slices: 4 }),
  limit(slidingLog, { limit: 5, window: 10_000 })
].map((space) => ({ space, use: take(space) }))
const all = [...subjects, { space: circuit, use: failure }]

const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? exit.cause.reasons.map((reason) => Cause.isFailReason(reason) && reason.error)[0] : "read"
const isDamaged = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = reasonOf(exit) as { readonly _tag?: string; readonly reason?: string; readonly cause?: unknown } // or none
  return error._tag === "StoreError" && error.reason === "damaged" && error.cause instanceof Error
}

/** All ways in which one value may be another one. */
const others = (value: unknown): ReadonlyArray<unknown> =>
  [null, "x", "5", true, -1, 0.5, 2 ** 53, [], {}, [null], [-1], { a: 1 }].filter(
    (other) => typeof other !== typeof value || other === null || typeof other === "number"
  )

/** The row with one value of it replaced, once for each place and each value; and with each field left out. */
const corruptions = (value: unknown): ReadonlyArray<readonly [what: string, value: unknown]> => {
  const longer = Array.isArray(value) ? [value.slice(1), [...value, value.at(-1) ?? 0]] : []
  const changed = [...others(value), ...longer.filter((list) => list.length > 0 || Object.keys(value as []).length > 0)]
  const here = (typeof value === "string" ? [...changed, "Melted"] : changed).map(
    (other) => [JSON.stringify(other), other] as const
  )
  if (typeof value !== "object" || value === null) return here
  const fields = Object.entries(value)
  const within = fields.flatMap(([name, inner]) =>
    corruptions(inner).map(([what, other]) => {
      const copy = structuredClone(value)
      copy[name as never] = other as never // of this place
      return [`${name}: ${what}`, copy] as const
    })
  )
  if (Array.isArray(value)) return [...here, ...within]
  const without = fields.map(
    ([name]) => [`without ${name}`, Object.fromEntries(fields.filter(([other]) => other !== name))] as const
  )
  return [...here, ...within, ...without, ["more", { ...value, more: 1 }]]
}

describe("a row that no store wrote", () => {
  for (const { space, use } of all) {
    const { id } = space.kernel
    it(`is the error of the commit that looks at it, and of its reader, whatever is wrong with a state of ${id}`, () => {
      const table = new Table()
      table.ask(use)
      const good = table.entries(space)
      const [policy, at, ends, state] = good[0]!
      const bad: Array<readonly [string, unknown]> = [
        ...corruptions(state).map(([what, value]) => [`state ${what}`, [[policy, at, ends, value]]] as const),
        ...[null, "x", -1, 0.5, 2 ** 53].map((value) => [`at ${value}`, [[policy, value, ends, state]]] as const),
        ...["x", -1, 0.5].map((value) => [`ends ${value}`, [[policy, at, value, state]]] as const),
        ...[null, {}, [], [[]], [null], 5, true, "x", [[policy, at, ends]], [[policy, at, ends, state, 1]]].map(
          (value) => [JSON.stringify(value), value] as const
        ),
        ["the second of two", [good[0], ["garbage"]]]
      ]
      assert.isAbove(bad.length, 30)
      for (const [what, value] of bad) {
        table.put(space, JSON.stringify(value))
        const { changes, exits } = table.batch([use])
        assert.isTrue(
          isDamaged(exits[0]!),
          `${what}: ${JSON.stringify(value)} gives ${JSON.stringify(reasonOf(exits[0]!))}`
        )
        assert.deepStrictEqual(changes, [], what)
        assert.isTrue(isDamaged(table.read(space)), what)
      }
      for (const text of ["garbage", "[", "{", "[[", " "]) {
        table.put(space, text)
        assert.isTrue(isDamaged(table.batch([use]).exits[0]!), text)
        assert.isTrue(isDamaged(table.read(space)), text)
      }
    })

    it(`is repaired by a command, of ${id}`, () => {
      for (const op of space === circuit ? ["isolate", "close", "reset"] : ["reset"]) {
        const table = new Table()
        table.put(space, '[["garbage"]]')
        assert.isTrue(table.ask(command(space, op)).allowed)
        assert.lengthOf(table.entries(space), 1, op)
        assert.isTrue(Exit.isSuccess(table.batch([use]).exits[0]!))
        assert.isTrue(Exit.isSuccess(table.read(space)))
      }
    })
  }

  it("is in no other commit's way, and a commit that looks at it leaves all its rows as they are", () => {
    const table = new Table()
    const [user, tenant] = [subjects[0]!.space, subjects[1]!.space]
    table.put(user, "garbage", null, "bad")
    const both = (key: string) => [take(user, 1, key), take(tenant, 1, "t")]
    const { changes, exits } = table.batch(both("a"), both("bad"), both("b"), [take(tenant, 1, "t")])
    assert.deepStrictEqual(exits.map(isDamagedOrNot), [false, true, false, false])
    assert.deepStrictEqual(changes.map(({ key }) => key).toSorted(), ['"a"', '"b"', '"t"'])
    assert.deepInclude(table.entries(tenant, "t")[0]![3], { used: 3 })
    assert.strictEqual(table.row(user, "bad").state, "garbage")
  })

  it("is the error of a policy that would take over from numbers that no kernel can be given", () => {
    const table = new Table()
    const { space, use } = subjects[0]!
    table.ask(use)
    const [own] = table.entries(space)
    const strange = [null, ...own!.slice(1)]
    table.put(space, JSON.stringify([strange]))
    assert.isTrue(isDamaged(table.batch([use]).exits[0]!))
    assert.isTrue(isDamaged(table.read(space)))
    assert.isTrue(table.ask(command(space, "reset")).allowed)
    assert.isTrue(table.ask(use).allowed)
    table.put(space, JSON.stringify([strange, own]))
    assert.isTrue(table.ask(use).allowed, "one that has a state of its own takes nothing over")
  })
})

const isDamagedOrNot = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit) && isDamaged(exit)

describe("a row that was made to be locked, and not written", () => {
  for (const expires_at of [null, 0, 999_999, 1_000_000, 1_002_000, 2 ** 52]) {
    it(`is absent, also where it ends at ${expires_at}`, () => {
      const table = new Table()
      const { space } = subjects[0]!
      table.put(space, "", expires_at)
      assert.deepStrictEqual(table.read(space), Exit.succeed(undefined))
      const { allowed, changes } = table.ask(take(space, 5))
      assert.isTrue(allowed)
      assert.strictEqual(changes[0]!.old, "")
      assert.isFalse(table.ask(take(space, 1)).allowed)
    })
  }
})

describe("a row of another's kernel", () => {
  interface State {
    readonly level: number
    readonly name: string
    readonly last: number | null
    readonly marks: ReadonlyArray<number | string>
    readonly extra?: { readonly deep: ReadonlyArray<number> }
  }
  const kernel: Kernel<unknown, State, State, Decision> = {
    id: "of-a-user@1",
    initial: () => ({ level: 1, name: "", last: null, marks: [0, ""] }),
    step: (_policy, _state, input) => [{ allowed: true }, input],
    expiresAt: () => undefined
  }
  const space: AnySpace = { name: "own", kernel: kernel as AnySpace["kernel"], policy: {}, keys }
  const left = (state: unknown) => {
    const table = new Table()
    table.put(space, JSON.stringify([[{}, 1, null, state]]))
    return table.read(space)
  }
  const plain: State = { level: 0.25, name: "b", last: null, marks: [] }

  it("may hold what only our own kernels never do: fractions, numbers below 0, null, more fields", () => {
    for (const state of [
      plain,
      { ...plain, level: -(2 ** 60) },
      { ...plain, last: 0.5 },
      { ...plain, marks: ["a", -1, "b", 2.5] },
      { ...plain, extra: { deep: [0.1, null, true] } }
    ]) {
      assert.deepStrictEqual(left(state), Exit.succeed(state))
    }
  })

  it("holds the fields that its kernel begins with, of the types that they had", () => {
    const { level: _, ...without } = plain
    for (const state of [
      without,
      { ...plain, level: "1" },
      { ...plain, level: null },
      { ...plain, name: 5 },
      { ...plain, marks: {} },
      { ...plain, marks: [null] },
      [plain],
      null,
      5
    ]) {
      assert.isTrue(isDamaged(left(state)), JSON.stringify(state))
    }
    const table = new Table()
    for (const text of [
      '{"level":1e999,"name":"","last":null,"marks":[]}',
      '{"level":1,"name":"","last":1e999,"marks":[]}'
    ]) {
      table.put(space, `[[{},1,null,${text}]]`)
      assert.isTrue(isDamaged(table.read(space)), text)
    }
  })
})
