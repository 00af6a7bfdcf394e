import { assert, it } from "@effect/vitest"
import { breaker as kernel, type BreakerInput, type BreakerPolicy } from "effect-resilience/kernel/Breaker"
import { breaker, moves, pipeline } from "./schemes.ts"

/** Opens at the second failure in a row, for 10 ms; two probes, of which one must succeed, each for 20 ms at most. */
const policy: BreakerPolicy = {
  trips: [{ kind: "consecutive", failures: 2, within: 0 }],
  openLow: [10],
  openHigh: [10],
  openGrowth: 0,
  openCap: 100,
  permitted: 2,
  required: 1,
  lease: 20
}

/** A walk through the life of one circuit: which inputs come, and when, is drawn from a seed. */
const walk = (steps: number): { readonly made: ReadonlySet<string>; readonly byHand: ReadonlySet<string> } => {
  let seed = 1
  const upTo = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n
  const made = new Set<string>()
  const byHand = new Set<string>()
  const commands = ["isolate", "close", "reset"] as const
  const outcomes = ["success", "failure", "throttled", "ignored"] as const
  let state = kernel.initial(policy)
  let now = 1
  let permit = { generation: 0, probe: 0 }
  for (let i = 0; i < steps; i++) {
    now += upTo(3) === 0 ? upTo(25) : 0
    const outcome = outcomes[upTo(4)]!
    const report = { op: "record", ...permit, outcome, duration: 0, slowFed: 0, retryAfter: 0, draw: 0 } as const
    const asks = [{ op: "admit", draw: 0 }, report, report] as const
    const input: BreakerInput = upTo(12) === 0 ? { op: commands[upTo(3)]! } : asks[upTo(3)]!
    const [answer, next] = kernel.step(policy, state, input, now)
    if (input.op === "admit" && answer.allowed) permit = answer
    if (answer.allowed) state = next
    // what was due by time comes before what an operator does
    const last = answer.transitions.at(-1)
    for (const transition of answer.transitions) {
      const { from, to } = transition
      const isCommand = transition === last && (input.op === "isolate" ? to === "Isolated" : to === "Closed")
      const set = ["isolate", "close", "reset"].includes(input.op) && isCommand ? byHand : made
      set.add(`${from} -> ${to}`)
    }
  }
  return { made, byHand }
}

const drawn = (byHand: boolean) =>
  moves.filter((move) => (move.byHand ?? false) === byHand).map(({ from, to }) => `${from} -> ${to}`)

it("the circuit of the picture makes the moves that the kernel makes, and no other", () => {
  const { byHand, made } = walk(20_000)
  assert.deepStrictEqual(Array.from(made).toSorted(), drawn(false).toSorted())
  assert.deepStrictEqual(Array.from(byHand).toSorted(), drawn(true).toSorted())
})

it("a move without an arrow of its own is in the label of one that ends in the same state", () => {
  for (const { from, line, to } of moves) {
    if (line !== undefined) continue
    const speaks = moves.some((other) => other.to === to && other.byHand && other.label?.[2].includes("in any state"))
    assert.isTrue(speaks, `${from} -> ${to}`)
  }
})

it("the schemes are well-formed, and every arrow has its head", () => {
  for (const svg of [pipeline(), breaker()]) {
    const open: Array<string> = []
    for (const [, end, name = "", attributes = ""] of svg.matchAll(/<(\/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)>/g)) {
      if (end === "/") assert.strictEqual(open.pop(), name)
      else open.push(name)
      const head = /marker-end="url\(#([^)]+)\)"/.exec(attributes)?.[1]
      if (head !== undefined) assert.include(svg, `<marker id="${head}"`)
    }
    assert.deepStrictEqual(open, [])
    const between = svg.replace(/<\/?[a-z]+(?: [a-zA-Z:-]+="[^"<]*")*>/g, "")
    assert.notMatch(between, /[<>]|&(?!(?:amp|lt|gt|quot);)/)
  }
})
