/** Several policies in one row, row by row and without a database. */
import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import { breaker, type BreakerPolicy } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import type { AnySpace } from "effect-resilience/Store"
import { type Answer, command, keys, step, Table, take } from "./table.ts"

const limitOf = (kernel: AnySpace["kernel"], policy: unknown): AnySpace => ({
  name: "limit",
  kernel,
  policy,
  keys,
  isLimit: true
})
const fixed = (limit: number, window: number) => limitOf(fixedWindow, { limit, window })
const log = (limit: number, window: number) => limitOf(slidingLog, { limit, window })

const circuit = (failures: number, openFor: number, idleTimeToLive = Infinity): AnySpace => {
  const policy: BreakerPolicy = {
    trips: [{ kind: "consecutive", failures, within: 0 }],
    openLow: [openFor],
    openHigh: [openFor],
    openGrowth: 0,
    openCap: openFor,
    permitted: 1,
    required: 1,
    lease: 60_000
  }
  return { name: "circuit", kernel: breaker, policy, keys: { ...keys, idleTimeToLive } }
}
const admit = (space: AnySpace) => step(space, { op: "admit", draw: 0 })
const failure = (space: AnySpace, generation: number) =>
  step(space, {
    op: "record",
    generation,
    probe: 0,
    outcome: "failure",
    duration: 0,
    slowFed: 0,
    retryAfter: 0,
    draw: 0
  })

const limits = (table: Table, space: AnySpace) =>
  table.entries(space).map(([policy]) => (policy as { limit: number }).limit)
const remaining = (table: Table, space: AnySpace) => table.ask(take(space, 0)).answers[0]!.remaining

describe("a row of several policies", () => {
  it("holds of each its numbers, when it wrote, when that ends, and its state; the last writer's first", () => {
    const table = new Table()
    const [one, other] = [log(10, 5_000), log(20, 9_000)]
    table.ask(take(one, 4))
    table.now += 7
    table.ask(take(other, 3))
    const { now } = table
    assert.deepStrictEqual(table.entries(one), [
      [{ limit: 20, window: 9_000 }, now, now + 9_000, { times: [now - 7, now], counts: [4, 3], total: 7 }],
      [{ limit: 10, window: 5_000 }, now - 7, now - 7 + 5_000, { times: [now - 7], counts: [4], total: 4 }]
    ])
  })

  it("tells a policy by its numbers, in whatever order they stand", () => {
    const table = new Table()
    table.ask(take(fixed(10, 5_000), 4))
    assert.strictEqual(remaining(table, limitOf(fixedWindow, { window: 5_000, limit: 10 })), 6)
    assert.lengthOf(table.entries(fixed(10, 5_000)), 1)
  })

  it("tells a policy by what JSON keeps of it, also where that is nothing", () => {
    for (const policy of [undefined, null, 5, { most: Infinity, name: undefined }]) {
      const table = new Table()
      const kernel: AnySpace["kernel"] = {
        ...fixedWindow,
        step: (_policy, state, input, now) => fixedWindow.step({ limit: 5, window: 1_000_000 }, state, input, now),
        expiresAt: () => undefined
      }
      const space = limitOf(kernel, policy)
      for (const left of [4, 3]) assert.strictEqual(table.ask(take(space)).answers[0]!.remaining, left)
      assert.lengthOf(table.entries(space), 1)
    }
  })

  it("has four policies at most, and a fifth takes the place of the one that wrote first", () => {
    const table = new Table()
    for (const limit of [10, 11, 12, 13]) table.ask(take(fixed(limit, 1_000_000)))
    table.ask(take(fixed(10, 1_000_000)))
    table.ask(take(fixed(14, 1_000_000)))
    assert.deepStrictEqual(limits(table, fixed(10, 1_000_000)), [14, 10, 13, 12])
  })

  it("lets a policy go on with its own state, also when that has ended and another one's has not", () => {
    const table = new Table()
    const [short, long] = [log(5, 10), log(5, 1_000)]
    table.ask(take(short, 5))
    table.ask(take(long, 0)) // takes over 5
    table.now += 10
    assert.strictEqual(remaining(table, short), 5)
    assert.strictEqual(remaining(table, long), 0)
  })

  it("has a new policy begin with what the last writer had used when it wrote", () => {
    const table = new Table()
    const [old, next] = [log(10, 100), log(20, 1_000)]
    table.ask(take(old, 6))
    table.now += 30
    assert.strictEqual(remaining(table, next), 14)
    table.now += 969
    assert.strictEqual(remaining(table, next), 14, "a millisecond before the span since that write is over")
    table.now += 1
    assert.strictEqual(remaining(table, next), 20)
  })

  it("has a new policy begin with what it can hold of it", () => {
    const table = new Table()
    table.ask(take(log(100, 1_000), 60))
    const { answers } = table.ask(take(log(5, 50)))
    assert.deepInclude(answers[0], { allowed: false, remaining: 0, retryAfter: 50 })
  })

  it("does not hand over a state that has ended: the first that has not is taken over", () => {
    const table = new Table()
    table.ask(take(log(10, 10_000), 6))
    table.ask(take(log(8, 10), 1))
    table.now += 10
    assert.strictEqual(remaining(table, log(20, 500)), 14)
    table.now += 10_000
    assert.strictEqual(remaining(table, log(30, 500)), 30)
  })

  it("keeps what was taken over, at the time of that write and behind it, though the question was refused", () => {
    const table = new Table()
    const [busy, mine] = [log(9, 1_000), log(3, 100)]
    table.ask(take(busy, 8))
    const { now } = table
    table.now += 40
    const { allowed, changes } = table.ask(take(mine, 1))
    assert.isFalse(allowed)
    assert.lengthOf(changes, 1)
    assert.deepStrictEqual(table.entries(mine), [
      [{ limit: 9, window: 1_000 }, now, now + 1_000, { times: [now], counts: [8], total: 8 }],
      [{ limit: 3, window: 100 }, now, now + 100, { times: [now], counts: [3], total: 3 }]
    ])
    // what the other one takes now is not taken over again
    table.now += 50
    table.ask(take(busy, 1))
    table.now += 10
    assert.strictEqual(remaining(table, mine), 3)
  })

  it("keeps what was taken over where another limit of the same question refuses", () => {
    const table = new Table()
    const full: AnySpace = { ...fixed(1, 1_000_000), name: "full" }
    table.ask(take(full))
    table.ask(take(log(9, 1_000), 8))
    assert.isFalse(table.ask(take(log(30, 100), 1), take(full)).allowed)
    assert.deepStrictEqual(limits(table, log(9, 1_000)), [9, 30])
    assert.lengthOf(table.entries(full), 1)
  })

  it("keeps what was taken over in place of the oldest, where that is what it came from", () => {
    const table = new Table()
    table.ask(take(log(9, 10_000), 8))
    for (const limit of [20, 21, 22]) table.ask(take(log(limit, 50)))
    assert.deepStrictEqual(limits(table, log(9, 10_000)), [22, 21, 20, 9])
    table.now += 60
    table.ask(take(log(3, 100), 0))
    assert.deepStrictEqual(limits(table, log(9, 10_000)), [22, 21, 20, 3])
  })

  it("keeps a state that has ended for as long again as it lasted", () => {
    const table = new Table()
    const [mine, busy] = [log(5, 100), log(50, 10_000)]
    table.ask(take(mine, 5))
    for (const [passed, kept] of [
      [150, [50, 5]],
      [199, [50, 5]],
      [200, [50]]
    ] satisfies ReadonlyArray<[number, Array<number>]>) {
      table.now = 1_000_000 + passed
      table.ask(take(busy))
      assert.deepStrictEqual(limits(table, mine), kept, `${passed} ms later`)
    }
  })

  it("has a refund go to the state of the policy that took, and to no other", () => {
    const table = new Table()
    const [one, other] = [log(10, 1_000), log(20, 1_000)]
    const { answers } = table.ask(take(one, 4))
    const back = step(other, { op: "refund", receipt: answers[0]!.receipt })
    assert.deepStrictEqual(table.ask(back).changes, [], "one that has no state of its own")
    table.ask(take(other, 5)) // 4 of them taken over
    table.ask(step(one, { op: "refund", receipt: answers[0]!.receipt }))
    assert.strictEqual(remaining(table, one), 10)
    assert.strictEqual(remaining(table, other), 11)
    assert.deepStrictEqual(limits(table, one), [10, 20])
  })

  it("is not written by a refund of a policy without a state, whatever its kernel makes of that", () => {
    const table = new Table()
    const kernel: AnySpace["kernel"] = {
      ...slidingLog,
      step: (policy, state, input, now) => {
        const [answer, after] = slidingLog.step(policy, state, input, now)
        return [answer, input.op === "refund" ? structuredClone(after) : after]
      }
    }
    const { answers } = table.ask(take(limitOf(kernel, { limit: 10, window: 1_000 }), 4))
    const back = step(limitOf(kernel, { limit: 20, window: 1_000 }), { op: "refund", receipt: answers[0]!.receipt })
    assert.deepStrictEqual(table.ask(back).changes, [])
  })

  it("counts a report to a circuit whose policy is new on what the last one left", () => {
    const table = new Table()
    const [old, next] = [circuit(1, 5_000), circuit(3, 500)]
    table.ask(failure(old, 0))
    const open = table.ask(admit(old)).answers[0]!
    assert.deepInclude(open, { phase: "Open", retryAfter: 5_000 })
    table.ask(failure(next, open.generation))
    assert.deepInclude(table.ask(admit(next)).answers[0], {
      phase: "Open",
      generation: open.generation,
      retryAfter: 500
    })
    assert.lengthOf(table.entries(next), 2)
  })

  it("loses the states of other policies by a command, also by one that changes nothing", () => {
    const table = new Table()
    const [one, other] = [circuit(2, 5_000), circuit(1, 5_000)]
    table.ask(command(one, "isolate"))
    table.ask(command(one, "close"))
    const { generation } = table.ask(admit(one)).answers[0]!
    table.ask(failure(other, generation))
    assert.deepStrictEqual(
      [one, other].map((space) => table.ask(admit(space)).answers[0]!.phase),
      ["Closed", "Open"]
    )
    table.ask(command(one, "close")) // is closed
    assert.lengthOf(table.entries(one), 1)
    assert.deepInclude(table.ask(admit(other)).answers[0], { phase: "Closed", generation })
  })

  it("lets a command begin with what the last writer left", () => {
    const table = new Table()
    table.ask(command(circuit(2, 5_000), "isolate"))
    const { generation } = table.ask(admit(circuit(2, 5_000))).answers[0]!
    const { answers } = table.ask(command(circuit(3, 5_000), "close"))
    assert.isAbove(answers[0]!.generation, generation)
    assert.lengthOf(table.entries(circuit(2, 5_000)), 1)
    assert.strictEqual(table.ask(admit(circuit(2, 5_000))).answers[0]!.phase, "Closed")
  })

  it("is free for all policies after a reset", () => {
    const table = new Table()
    for (const limit of [5, 6]) table.ask(take(log(limit, 1_000), 5))
    table.ask(command(log(6, 1_000), "reset"))
    for (const limit of [5, 6, 7]) assert.strictEqual(remaining(table, log(limit, 1_000)), limit)
  })

  it("is read as the policy's own state or as what it would take over, and reading writes nothing", () => {
    const table = new Table()
    const [one, other] = [log(10, 1_000), log(3, 100)]
    assert.deepStrictEqual(table.read(one), Exit.succeed(undefined))
    table.ask(take(one, 4))
    const { now } = table
    const before = table.row(one)
    assert.deepStrictEqual(table.read(one), Exit.succeed({ times: [now], counts: [4], total: 4 }))
    assert.deepStrictEqual(table.read(other), Exit.succeed({ times: [now], counts: [3], total: 3 }))
    assert.deepStrictEqual(table.row(one), before)
  })

  it("is one for two policies of one batch, each on what the commit before it left", () => {
    const table = new Table()
    const [one, other] = [log(10, 1_000), log(20, 1_000)]
    const { changes, exits } = table.batch([take(one, 4)], [take(other, 1)], [take(one, 6)], [take(one, 1)])
    assert.lengthOf(changes, 1)
    assert.deepStrictEqual(
      exits.map((exit) => Exit.isSuccess(exit) && (exit.value.answers as ReadonlyArray<Answer>)[0]!.remaining),
      [6, 15, 0, 0]
    )
    assert.deepStrictEqual(limits(table, one), [10, 20])
  })

  it("forgets an endless state that was not used for too long, and then what another policy left is found", () => {
    const table = new Table()
    const [idle, busy] = [circuit(1, 5_000, 1_000), circuit(2, 5_000, 1_000)]
    table.ask(command(idle, "isolate"))
    table.ask(command(busy, "close"))
    table.ask(admit(busy))
    table.ask(command(idle, "isolate"))
    assert.strictEqual(table.entries(idle)[0]![2], table.now + 1_500)
    table.ask(admit(busy)) // takes over
    for (let i = 0; i < 4; i++) {
      table.now += 600
      table.ask(admit(busy)) // a use, though it is refused
    }
    assert.deepStrictEqual(
      table.entries(idle).map(([, , ends]) => ends! > table.now),
      [false, true]
    )
    assert.strictEqual(table.ask(admit(idle)).answers[0]!.phase, "Isolated")
    table.now += 1_501
    assert.deepStrictEqual(table.read(idle), Exit.succeed(undefined))
    assert.strictEqual(table.ask(admit(idle)).answers[0]!.phase, "Closed")
  })

  it("ends with its state, rounded up to 10 s, and never where that is endless", () => {
    const table = new Table()
    table.ask(take(log(10, 100_001), 1))
    assert.strictEqual(table.row(log(10, 1)).expires_at, 1_110_000)
    table.ask(admit(circuit(1, 5_000)))
    assert.isUndefined(table.rows.get(Table.rowOf(admit(circuit(1, 5_000))).name))
    table.ask(failure(circuit(1, 5_000), 0))
    assert.isNull(table.row(circuit(1, 5_000)).expires_at)
    // what is over is not put off
    table.ask(command(log(10, 100_001), "reset"))
    assert.isAtMost(table.row(log(10, 1)).expires_at!, table.now)
  })

  it("ends at a whole millisecond that is not below 0, whatever a kernel says", () => {
    for (const [end, ends] of [
      [1_000_000.25, 1_000_001],
      [-5, 0],
      [-Infinity, 0],
      [Infinity, null]
    ]) {
      const table = new Table()
      const space = limitOf({ ...fixedWindow, expiresAt: () => end! }, { limit: 5, window: 1_000_000 })
      table.put(space, JSON.stringify([[null, 1, 2, fixedWindow.initial({ limit: 5, window: 1 })]]))
      table.ask(take(space))
      assert.strictEqual(table.entries(space)[0]![2], ends!)
      assert.isTrue(Exit.isSuccess(table.read(space)))
    }
  })

  it("is kept until the last of several states has ended for as long again as it lasted", () => {
    const table = new Table()
    const [short, long] = [log(10, 20_000), log(20, 100_000)]
    table.ask(take(long, 1))
    table.ask(take(short, 1))
    assert.strictEqual(table.row(short).expires_at, 1_200_000)
    table.now += 150_000
    table.ask(take(short, 1))
    assert.deepStrictEqual(limits(table, short), [10, 20])
    table.ask(failure(circuit(1, 5_000), 0))
    table.ask(failure(circuit(2, 5_000), 0))
    assert.isNull(table.row(circuit(1, 5_000)).expires_at)
  })

  it("is left as it is where it was only looked at", () => {
    const table = new Table()
    const [limit, closed] = [fixed(10, 1_000_000), circuit(3, 5_000)]
    table.ask(failure(closed, 0))
    const { changes } = table.ask(admit(closed), take(limit))
    assert.deepStrictEqual(
      changes.map(({ new: next, old }) => [old === null, next === null]),
      [
        [false, true],
        [true, false]
      ]
    )
  })

  it("begins anew for a kernel that is no limit and cannot take over", () => {
    const table = new Table()
    const plain = (policy: unknown): AnySpace => ({ name: "plain", kernel: tokenBucket, policy, keys })
    table.ask(take(plain({ limit: 5, window: 1_000, burst: 5 }), 5))
    assert.strictEqual(remaining(table, plain({ limit: 6, window: 1_000, burst: 6 })), 6)
  })
})
