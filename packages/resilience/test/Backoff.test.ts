import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Schema } from "effect"
import * as Backoff from "../src/Backoff.ts"
import { refused } from "./failing.ts"

const MAX = 2 ** 52
const ALMOST_ONE = (2 ** 53 - 1) / 2 ** 53

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Half of the values small, half anywhere up to `max`. */
const wide = (min: number, max: number) =>
  Arbitrary.flatMap(Arbitrary.schema(Schema.Boolean), (small) => int(min, small ? Math.min(max, min + 40) : max))

const jitter = Arbitrary.schema(Schema.Literals(["none", "full", "equal"]))
const attempt = wide(1, 2 ** 31)
const draw = Arbitrary.map(
  Arbitrary.all([Arbitrary.schema(Schema.Literals(["zero", "one", "any"])), int(0, 2 ** 53 - 1)]),
  ([edge, n]) => (edge === "zero" ? 0 : edge === "one" ? ALMOST_ONE : n / 2 ** 53)
)
const factor = Arbitrary.schema(Schema.Literals([1, 1.001, 1.1, 1.5, 1.7, 2, 3, 10, 1e9]))

const grower = Arbitrary.map(
  Arbitrary.all({
    tag: Arbitrary.schema(Schema.Literals(["Exponential", "Linear", "Fibonacci"])),
    base: wide(1, MAX),
    more: wide(0, MAX),
    increment: wide(1, MAX),
    factor,
    jitter
  }),
  ({ tag, base, more, increment, factor, jitter }): Backoff.Exponential | Backoff.Linear | Backoff.Fibonacci => {
    const cap = Math.min(MAX, base + more)
    switch (tag) {
      case "Exponential":
        return Backoff.exponential({ base, factor, cap, jitter })
      case "Linear":
        return Backoff.linear({ base, increment, cap, jitter })
      case "Fibonacci":
        return Backoff.fibonacci({ base, cap, jitter })
    }
  }
)
const decorrelated = Arbitrary.map(Arbitrary.all({ base: wide(1, MAX), more: wide(0, MAX) }), ({ base, more }) =>
  Backoff.decorrelated({ base, cap: Math.min(MAX, base + more) })
)
const constant = Arbitrary.map(Arbitrary.all({ delay: wide(0, MAX), jitter }), (options) => Backoff.constant(options))
const anyBackoff: Arbitrary.Arbitrary<Backoff.Backoff> = Arbitrary.flatMap(
  int(0, 4),
  (n): Arbitrary.Arbitrary<Backoff.Backoff> => (n === 0 ? decorrelated : n === 1 ? constant : grower)
)

const capOf = (self: Backoff.Backoff): number => (self._tag === "Constant" ? self.delay : self.cap)
const take = (self: Backoff.Backoff, count: number, u = 0) =>
  Array.from({ length: count }, (_, i) => Backoff.delay(self, i + 1, u))
const many = { arbitrary: { runs: 1000 } }

describe("delay", () => {
  it.prop(
    "is whole milliseconds between 0 and the cap, whatever the attempt and the draw",
    {
      backoff: anyBackoff,
      n: attempt,
      u: draw
    },
    ({ backoff, n, u }) => {
      const delay = Backoff.delay(backoff, n, u)
      assert.isTrue(Number.isSafeInteger(delay), `${delay}`)
      assert.isAtLeast(delay, 0)
      assert.isAtMost(delay, capOf(backoff))
    },
    many
  )

  it.prop(
    "reaches both ends of its range and nothing beyond",
    { backoff: anyBackoff, n: attempt, u: draw, previous: draw },
    ({ backoff, n, previous, u }) => {
      const before = Math.max(1, Math.floor(previous * capOf(backoff)))
      const [low, high] = Backoff.range(backoff, n, before)
      assert.isAtMost(low, high)
      assert.strictEqual(Backoff.delay(backoff, n, 0, before), low)
      assert.strictEqual(Backoff.delay(backoff, n, ALMOST_ONE, before), high)
      const delay = Backoff.delay(backoff, n, u, before)
      assert.isTrue(low <= delay && delay <= high, `${delay} in [${low}, ${high}]`)
    },
    many
  )

  it.prop(
    "never shrinks from one attempt to the next without jitter",
    { backoff: grower, n: attempt },
    ({ backoff, n }) => {
      const plain = { ...backoff, jitter: "none" } as const
      assert.isAtMost(Backoff.delay(plain, n, 0), Backoff.delay(plain, n + 1, 0))
    },
    many
  )

  it.prop(
    "is base x factor^(n - 1) to the last digit for whole factors",
    {
      base: wide(1, 10_000),
      factor: int(1, 12),
      n: int(1, 400)
    },
    ({ base, factor, n }) => {
      const backoff = Backoff.exponential({ base, factor, cap: MAX, jitter: "none" })
      const exact = BigInt(base) * BigInt(factor) ** BigInt(n - 1)
      assert.strictEqual(Backoff.delay(backoff, n, 0), exact > BigInt(MAX) ? MAX : Number(exact))
    },
    many
  )

  it("follows the factor also without jitter (cockatiel's noJitterGenerator ignores its exponent)", () => {
    assert.deepStrictEqual(
      take(Backoff.exponential({ base: 100, factor: 3, jitter: "none" }), 4),
      [100, 300, 900, 2700]
    )
    assert.deepStrictEqual(
      take(Backoff.exponential({ base: 100, factor: 1.5, jitter: "none" }), 4),
      [100, 150, 225, 337]
    )
    assert.deepStrictEqual(take(Backoff.exponential({ base: 100, factor: 1, jitter: "none" }), 3), [100, 100, 100])
  })

  it("stays at the cap at any attempt number (Polly#2163 overflows after 1,024)", () => {
    for (const n of [1_024, 1_025, 2 ** 31, 1e9, Number.MAX_SAFE_INTEGER]) {
      for (const backoff of [
        Backoff.exponential({ base: 1, cap: "30 seconds", jitter: "none" }),
        Backoff.exponential({ base: 1, factor: 1e9, cap: "30 seconds", jitter: "none" }),
        Backoff.exponential({ base: 1, factor: 1.1, cap: "30 seconds", jitter: "none" }),
        Backoff.linear({ base: 1, increment: MAX, cap: "30 seconds", jitter: "none" }),
        Backoff.fibonacci({ base: 1, cap: "30 seconds", jitter: "none" })
      ]) {
        assert.strictEqual(Backoff.delay(backoff, n, 0), 30_000, `${backoff._tag} at ${n}`)
      }
      assert.strictEqual(Backoff.delay(Backoff.exponential({ base: 7, factor: 1, jitter: "none" }), n, 0), 7)
      assert.deepStrictEqual(Backoff.range(Backoff.decorrelated({ base: 1 }), n), [1, 30_000])
    }
  })

  it("grows by the increment, and by Fibonacci's numbers, up to the cap", () => {
    assert.deepStrictEqual(take(Backoff.linear({ base: 100, jitter: "none" }), 4), [100, 200, 300, 400])
    assert.deepStrictEqual(
      take(Backoff.linear({ base: 100, increment: 50, cap: 180, jitter: "none" }), 4),
      [100, 150, 180, 180]
    )
    assert.deepStrictEqual(
      take(Backoff.fibonacci({ base: 10, cap: 100, jitter: "none" }), 8),
      [10, 10, 20, 30, 50, 80, 100, 100]
    )
    assert.deepStrictEqual(take(Backoff.constant("1 second"), 3, 0.7), [1000, 1000, 1000])
  })
})

describe("jitter", () => {
  it("full makes every millisecond from 0 to the delay equally likely", () => {
    const backoff = Backoff.constant({ delay: 4, jitter: "full" })
    assert.deepStrictEqual(
      [0, 0.19, 0.2, 0.39, 0.4, 0.6, 0.8, ALMOST_ONE].map((u) => Backoff.delay(backoff, 1, u)),
      [0, 0, 1, 1, 2, 3, 4, 4]
    )
  })

  it("equal never gives up more than half of the delay", () => {
    assert.deepStrictEqual(Backoff.range(Backoff.constant({ delay: 100, jitter: "equal" }), 1), [50, 100])
    assert.deepStrictEqual(Backoff.range(Backoff.constant({ delay: 7, jitter: "equal" }), 1), [4, 7])
    assert.deepStrictEqual(Backoff.range(Backoff.constant({ delay: 1, jitter: "equal" }), 1), [1, 1])
  })

  it.prop(
    "survives the cap (p-retry and Polly lose it there)",
    { backoff: grower, n: int(1, 2 ** 31) },
    ({ backoff, n }) => {
      const capped = { ...backoff, jitter: "none" } as const
      const top = Backoff.delay(capped, n, 0)
      assert.deepStrictEqual(Backoff.range({ ...backoff, jitter: "full" }, n), [0, top])
      assert.deepStrictEqual(Backoff.range({ ...backoff, jitter: "equal" }, n), [Math.ceil(top / 2), top])
    },
    many
  )

  it("spreads a crowd that has been at the cap for long over the whole cap", () => {
    const backoff = Backoff.exponential({ base: 100, cap: "30 seconds" })
    const drawn = Array.from({ length: 1_000 }, (_, i) => Backoff.delay(backoff, 500, i / 1_000))
    assert.strictEqual(new Set(drawn).size, 1_000)
    assert.strictEqual(drawn[0], 0)
    assert.isAtLeast(drawn[999]!, 29_900)
  })
})

describe("decorrelated", () => {
  it.prop(
    "lies between base and three times the delay before, at most the cap",
    {
      backoff: decorrelated,
      draws: Arbitrary.array(draw, { minLength: 1, maxLength: 60 })
    },
    ({ backoff, draws }) => {
      let previous: number | undefined
      draws.forEach((u, i) => {
        const before = previous ?? backoff.base
        const delay = Backoff.delay(backoff, i + 1, u, previous)
        const top = Math.min(backoff.cap, 3 * before)
        assert.deepStrictEqual(Backoff.range(backoff, i + 1, before), [backoff.base, top])
        assert.isTrue(backoff.base <= delay && delay <= top, `${delay}`)
        const [low, high] = Backoff.range(backoff, i + 1)
        assert.isTrue(low <= delay && delay <= high, `${delay} in [${low}, ${high}] whatever came before`)
        previous = delay
      })
    },
    many
  )

  it("does not stick to the cap (cockatiel's ends at exactly 30,000 for ever)", () => {
    const backoff = Backoff.decorrelated({ base: 100, cap: 30_000 })
    assert.deepStrictEqual(Backoff.range(backoff, 1_000, 30_000), [100, 30_000])
    assert.strictEqual(Backoff.delay(backoff, 1_000, 0.5, 30_000), 15_050)
  })
})

describe("the value", () => {
  const all: ReadonlyArray<Backoff.Backoff> = [
    Backoff.exponential({ base: "500 millis" }),
    Backoff.constant("2 seconds"),
    Backoff.constant({ delay: "2 seconds", jitter: "full" }),
    Backoff.linear({ base: "1 second" }),
    Backoff.fibonacci({ base: "1 second" }),
    Backoff.decorrelated({ base: "1 second" })
  ]

  it("is plain data in milliseconds, with the defaults written out", () => {
    assert.deepStrictEqual(all, [
      { _tag: "Exponential", base: 500, factor: 2, cap: 30_000, jitter: "full" },
      { _tag: "Constant", delay: 2_000, jitter: "none" },
      { _tag: "Constant", delay: 2_000, jitter: "full" },
      { _tag: "Linear", base: 1_000, increment: 1_000, cap: 30_000, jitter: "full" },
      { _tag: "Fibonacci", base: 1_000, cap: 30_000, jitter: "full" },
      { _tag: "Decorrelated", base: 1_000, cap: 30_000 }
    ])
  })

  it.prop("is recognised after it went through JSON", { backoff: anyBackoff }, ({ backoff }) => {
    assert.isTrue(Backoff.isBackoff(JSON.parse(JSON.stringify(backoff))))
  })

  it("is not confused with durations or with records of unlawful numbers", () => {
    const good = Backoff.exponential({ base: 100 })
    const bad: ReadonlyArray<unknown> = [
      undefined,
      null,
      1,
      "1 second",
      Duration.seconds(1),
      { seconds: 1 },
      [1, 0],
      {},
      { _tag: "Exponential" },
      { ...good, base: 0 },
      { ...good, base: 0.5 },
      { ...good, base: NaN },
      { ...good, base: "100" },
      { ...good, cap: Infinity },
      { ...good, cap: 99 },
      { ...good, factor: 0.5 },
      { ...good, factor: NaN },
      { ...good, factor: Infinity },
      { ...good, jitter: "some" },
      { ...good, _tag: "__proto__" },
      { ...Backoff.constant(1), delay: -1 },
      { ...Backoff.constant(1), jitter: undefined },
      { ...Backoff.linear({ base: 1 }), increment: 0 },
      { ...Backoff.decorrelated({ base: 1 }), cap: undefined },
      { ...Backoff.fibonacci({ base: 1 }), jitter: "" }
    ]
    bad.forEach((u, i) => assert.isFalse(Backoff.isBackoff(u), `number ${i}`))
  })
})

describe("bad input is refused by module and field", () => {
  // What no type lets through still arrives from JavaScript and from configuration.
  const never = (u: unknown) => u as never
  const durations: ReadonlyArray<unknown> = [
    NaN,
    Infinity,
    -Infinity,
    -1,
    0,
    0.5,
    "0.5 millis",
    "-1 second",
    "Infinity",
    "",
    "soon",
    null,
    true,
    2 ** 53,
    { seconds: NaN },
    Duration.infinity
  ]

  it("durations", () => {
    for (const bad of durations) {
      refused("Backoff.exponential", "base", () => Backoff.exponential({ base: never(bad) }))
      refused("Backoff.linear", "base", () => Backoff.linear({ base: never(bad) }))
      refused("Backoff.linear", "increment", () => Backoff.linear({ base: 1, increment: never(bad) }))
      refused("Backoff.fibonacci", "base", () => Backoff.fibonacci({ base: never(bad) }))
      refused("Backoff.decorrelated", "base", () => Backoff.decorrelated({ base: never(bad) }))
      if (bad === null) continue // an absent cap is the default one
      refused("Backoff.exponential", "cap", () => Backoff.exponential({ base: 1, cap: never(bad) }))
      refused("Backoff.linear", "cap", () => Backoff.linear({ base: 1, cap: never(bad) }))
      refused("Backoff.fibonacci", "cap", () => Backoff.fibonacci({ base: 1, cap: never(bad) }))
      refused("Backoff.decorrelated", "cap", () => Backoff.decorrelated({ base: 1, cap: never(bad) }))
    }
    refused("Backoff.exponential", "base", () => Backoff.exponential(never({})))
  })

  it("the delay of constant, where zero is lawful", () => {
    assert.strictEqual(Backoff.constant(0).delay, 0)
    for (const bad of [NaN, Infinity, -1, 0.5, "", "soon", null, undefined, true, 2 ** 53, Duration.infinity]) {
      refused("Backoff.constant", "delay", () => Backoff.constant(never(bad)))
      refused("Backoff.constant", "delay", () => Backoff.constant({ delay: never(bad) }))
    }
  })

  it("factors", () => {
    for (const bad of [NaN, Infinity, -Infinity, -1, 0, 0.99, 1e9 + 1, "", "2", true]) {
      refused("Backoff.exponential", "factor", () => Backoff.exponential({ base: 1, factor: never(bad) }))
    }
  })

  it("jitters", () => {
    for (const bad of ["", "some", "__proto__", 1, true]) {
      refused("Backoff.exponential", "jitter", () => Backoff.exponential({ base: 1, jitter: never(bad) }))
      refused("Backoff.constant", "jitter", () => Backoff.constant({ delay: 1, jitter: never(bad) }))
      refused("Backoff.linear", "jitter", () => Backoff.linear({ base: 1, jitter: never(bad) }))
      refused("Backoff.fibonacci", "jitter", () => Backoff.fibonacci({ base: 1, jitter: never(bad) }))
    }
  })

  it("a cap below the base, also the default one", () => {
    refused("Backoff.exponential", "cap", () => Backoff.exponential({ base: 100, cap: 99 }))
    refused("Backoff.linear", "cap", () => Backoff.linear({ base: "1 minute" }))
    refused("Backoff.fibonacci", "cap", () => Backoff.fibonacci({ base: "1 minute" }))
    refused("Backoff.decorrelated", "cap", () => Backoff.decorrelated({ base: "1 minute" }))
  })
})
