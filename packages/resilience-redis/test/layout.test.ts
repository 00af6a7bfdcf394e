/**
 * What is written in Redis is read by the versions to come: a state, and a key, of an id does not change. Another layout
 * is another id.
 */
import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import type { AnySpace } from "effect-resilience/Store"
import { escape, unescape, Words, wordsOf } from "../src/internal/codec.ts"
import { Kernels } from "../src/internal/kernels.ts"
import { Places } from "../src/internal/keys.ts"
import { RedisStore } from "../src/index.ts"

const window = { calls: 2, bad: 1, head: 170, cells: [1, 0, 1, 1] }
const states: ReadonlyArray<readonly [id: string, state: unknown, words: string]> = [
  [
    "token-bucket@2",
    { at: 1764129600123, debt: 4503599627370496, since: 3, refunded: 4 },
    "1764129600123 4503599627370496 3 4"
  ],
  ["fixed-window@2", { start: 60000, used: 2 }, "60000 2"],
  ["sliding-window@2", { start: 60000, counts: [1, 0, 2] }, "60000 3 1 0 2"],
  ["sliding-log@2", { times: [10, 20], counts: [1, 2], total: 3 }, "2 10 20 2 1 2 3"],
  ["sliding-log@2", { times: [], counts: [], total: 0 }, "0 0 0"],
  [
    "circuit-breaker@3",
    {
      phase: "HalfOpen",
      generation: 7,
      ended: 0,
      since: 8,
      openFor: 9,
      openings: 1,
      openedBy: "failureRate",
      draw: 11,
      windows: [window, { calls: 0, bad: 0, head: 0, cells: [] }],
      trial: { issued: 3, successes: 1, failures: 0, probes: [{ id: 2, deadline: 99 }] }
    },
    "HalfOpen 7 0 8 9 1 failureRate 11 2 2 1 170 4 1 0 1 1 0 0 0 0 3 1 0 1 2 99"
  ]
]

const space = (name: string, id: string, spread?: boolean) => ({ name, kernel: { id }, spread }) as unknown as AnySpace // a place needs no more

describe("the layout in Redis", () => {
  const kernels = new Kernels([])

  it("writes each state as ever, and reads it", () => {
    for (const [id, state, words] of states) {
      const codec = kernels.find(id)!.state
      assert.strictEqual(wordsOf(codec, state).join(" "), words, id)
      assert.deepStrictEqual(codec.read(new Words(words.split(" "), true)), state, id)
    }
  })

  it("refuses what is not a state", () => {
    const { state } = kernels.find("token-bucket@2")!
    for (const words of ["", "1 2 3", "1 2 3 x", "1  3 4"])
      assert.throws(() => state.read(new Words(words.split(" "), true)))
  })

  it("names keys as ever", () => {
    const together = new Places("shop", space("app/Pay/limit", "token-bucket@2")).of("ada")
    assert.deepStrictEqual(together, {
      state: "shop:2:{service/app/Pay}:app/Pay/limit:token-bucket@2:ada",
      space: 54,
      cleared: "shop:2:{service/app/Pay}:cleared"
    })
    const spread = new Places("shop", space("app/Pay/limit", "token-bucket@2", true)).of("ada")
    assert.strictEqual(spread.state, "shop:2:{key/457}:app/Pay/limit:token-bucket@2:ada")
    assert.strictEqual(spread.cleared, "shop:2:{key/457}:cleared")
  })

  it("hashes names of more than 1,000 characters, and no two places are one key", () => {
    const long = (end: string) => "x".repeat(1_000) + end
    const texts = [
      long(""),
      long("a"),
      long("b"),
      long("\ud800"),
      long("\udc00"),
      long("é"),
      `~${"0".repeat(64)}`,
      createHash("sha256")
        .update(Buffer.from(long("a"), "utf16le"))
        .digest("hex")
    ]
    const hashed = `~${texts.at(-1)!}`
    const keys = new Set<string>()
    for (const name of [...texts, hashed, `${long("a")}/limit`]) {
      for (const isSpread of [false, true]) {
        const places = new Places("shop", space(name, "token-bucket@2", isSpread))
        for (const key of [...texts, hashed]) {
          const { cleared, space: length, state } = places.of(key)
          assert.isFalse(keys.has(state), state)
          keys.add(state)
          assert.isBelow(state.length, 4_000)
          assert.strictEqual(cleared, places.clearedOf(key))
          assert.isTrue(places.all().some(({ space }) => space === state.slice(0, length)))
        }
      }
    }
    const { state } = new Places("shop", space("app/Pay/limit", "token-bucket@2")).of(long("a"))
    assert.strictEqual(state, `shop:2:{service/app/Pay}:app/Pay/limit:token-bucket@2:${hashed}`)
  })

  it("has no prefix that is not said", () => {
    for (const prefix of [undefined, "", 7]) {
      const options = { prefix } as RedisStore.Options // what a program without types may say
      assert.throws(() => RedisStore.layer(options), InvalidPolicyError, /RedisStore.*prefix/)
    }
    assert.throws(() => (RedisStore.make as () => unknown)(), InvalidPolicyError, /prefix/)
  })

  it("gives no two places one key, and each one tag", () => {
    const parts = [
      "",
      "a",
      "a/b",
      ":",
      "a:",
      "{",
      "}",
      "{a}",
      "}{",
      "%",
      "%3A",
      " ",
      "é",
      "\ud800",
      "\udfff",
      "cleared",
      "@1",
      "~"
    ]
    const keys = new Map<string, string>()
    for (const prefix of parts) {
      for (const name of parts) {
        for (const id of parts.slice(0, 3)) {
          for (const isSpread of [false, true]) {
            const places = new Places(prefix, space(name, id, isSpread))
            for (const key of parts) {
              const { cleared, state } = places.of(key)
              const where = JSON.stringify([prefix, name, id, key, isSpread])
              assert.isUndefined(keys.get(state), `${where} and ${keys.get(state)}`)
              keys.set(state, where)
              assert.strictEqual(/\{([^}]*)\}/.exec(cleared)?.[1], /\{([^}]*)\}/.exec(state)?.[1])
              assert.match(state, /^[^{}]*\{[^{}]+\}[^{}]*$/)
              assert.notInclude(state, " ")
            }
          }
        }
      }
    }
  })

  it("escapes every string so that it comes back", () => {
    for (let code = 0; code < 0x11000; code += 7) {
      const text = `a${String.fromCodePoint(code)}%`
      assert.strictEqual(unescape(escape(text)), text)
      if (code < 0xd800 || code > 0xdfff) assert.strictEqual(decodeURIComponent(escape(text)), text, "it is UTF-8")
    }
  })
})
