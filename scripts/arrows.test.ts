import { assert, describe, it } from "@effect/vitest"
import { arrows, check } from "./arrows.ts"

/** A small core in which every arrow is right. Each test below breaks one thing in it. */
const sound: Readonly<Record<string, string>> = {
  "kernel/Kernel.ts": "export interface Kernel {}",
  "kernel/TokenBucket.ts": `import type { Kernel } from "./Kernel.ts"\nexport const kernel: Kernel = {}`,
  "Rejection.ts": `import * as Data from "effect/Data"\nexport const rejection = Data\nexport class RateLimitExceeded extends Rejection {}`,
  "Event.ts": `import type { rejection } from "./Rejection.ts"\nexport type Event = typeof rejection`,
  "StoreModel.ts": `import type { Kernel } from "./kernel/Kernel.ts"\nexport const model: Kernel = {}`,
  "internal/memoryStore.ts": `import * as TxRef from "effect/TxRef"\nimport { model } from "../StoreModel.ts"\nexport const memory = [TxRef, model]`,
  "RemoteStore.ts": `import { guard } from "./remote/guard.ts"\nexport const remote = guard`,
  "Store.ts": `import { memory } from "./internal/memoryStore.ts"\nexport * from "./StoreModel.ts"\nexport const store = memory`,
  "internal/validate.ts": `import { rejection } from "./../Rejection.ts"\nexport const validate = rejection`,
  "retry/RetrySchedule.ts": `import * as Schedule from "effect/Schedule"\nexport const bridge = Schedule`,
  "rateLimiter/LimitGate.ts": `import { validate } from "../internal/validate.ts"\nexport const gate = { kind: "rateLimiter", stage: Stage.limit, validate }`,
  "Backoff.ts": `export { bridge } from "./retry/RetrySchedule.ts"\nexport const backoff = 1`,
  "Retry.ts": `import { backoff } from "./Backoff.ts"\nexport const retry = backoff`,
  "CircuitBreaker.ts": `import { backoff } from "./Backoff.ts"\nexport const breaker = backoff`,
  "RateLimiter.ts": `import { gate } from "./rateLimiter/LimitGate.ts"\nimport { kernel } from "./kernel/TokenBucket.ts"\nimport { memory } from "./internal/memoryStore.ts"\nexport const limiter = [gate, kernel, memory]`,
  "Bulkhead.ts": `import { call } from "./engine/Call.ts"\nexport const bulkhead = call`,
  "Policy.ts": `import type { Event } from "./Event.ts"\nexport const policy: Event = {}`,
  "engine/Call.ts": `import { policy } from "../Policy.ts"\nexport const call = policy`,
  "remote/guard.ts": `import { call } from "../engine/Call.ts"\nexport const guard = call`,
  "resilience/compose.ts": `import { limiter } from "../RateLimiter.ts"\nexport const compose = limiter`,
  "Resilience.ts": `import { compose } from "./resilience/compose.ts"\nimport { retry } from "./Retry.ts"\nexport const resilience = [compose, retry]`,
  "Telemetry.ts": `import * as Effect from "effect/Effect"\nimport * as Metric from "effect/Metric"\nexport const telemetry = [Metric, Effect.logInfo]`,
  "EventStream.ts": `import * as Stream from "effect/Stream"\nexport const stream = Stream`,
  "index.ts": `export * as Resilience from "./Resilience.ts"\nexport * as Retry from "./Retry.ts"`
}

const broken = (file: string, text: string) =>
  check("resilience", { ...sound, [file]: `${text}\n${sound[file] ?? ""}` }).map(
    (violation) => `${violation.file}:${violation.line} ${violation.rule}`
  )

const cases: ReadonlyArray<readonly [name: string, file: string, text: string, violation: string]> = [
  [
    "a value that imports a shared file's type",
    "Rejection.ts",
    `import type { a } from "./internal/validate.ts"`,
    "arrow"
  ],
  ["the store's model that imports a store's type", "StoreModel.ts", `import type { a } from "./Store.ts"`, "arrow"],
  ["the memory store that imports the store's layer", "internal/memoryStore.ts", `import "../Store.ts"`, "arrow"],
  ["a kernel that imports the store", "kernel/Kernel.ts", `import "../Store.ts"`, "arrow"],
  [
    "a kernel that imports a type of effect",
    "kernel/Kernel.ts",
    `import type { Effect } from "effect/Effect"`,
    "kernel"
  ],
  ["the store that imports a policy", "Store.ts", `import "./RateLimiter.ts"`, "arrow"],
  ["the store that imports a policy's type", "Store.ts", `import type { a } from "./RateLimiter.ts"`, "arrow"],
  ["a policy that imports a remote store", "RateLimiter.ts", `import "./RemoteStore.ts"`, "arrow"],
  ["a policy that imports the guard's types", "RateLimiter.ts", `import type { a } from "./remote/guard.ts"`, "arrow"],
  ["a pipeline that imports the guard", "Resilience.ts", `import "./remote/guard.ts"`, "arrow"],
  ["a policy that imports another", "RateLimiter.ts", `import "./CircuitBreaker.ts"`, "arrow"],
  ["a policy that imports another's type", "RateLimiter.ts", `type A = import("./Bulkhead.ts").A`, "arrow"],
  ["a policy that reaches into another's internals", "Bulkhead.ts", `import "./rateLimiter/LimitGate.ts"`, "arrow"],
  ["a policy that imports retry", "CircuitBreaker.ts", `export * from "./Retry.ts"`, "arrow"],
  ["a policy that imports the pipeline", "RateLimiter.ts", `export { a } from "./Resilience.ts"`, "arrow"],
  ["a policy that composes several", "RateLimiter.ts", `import "./resilience/compose.ts"`, "arrow"],
  ["the engine that imports a policy", "engine/Call.ts", `import { retry } from "../Retry.ts"`, "arrow"],
  ["the engine that imports a policy's type", "engine/Call.ts", `import type { retry } from "../Retry.ts"`, "arrow"],
  ["the engine that imports the guard", "engine/Call.ts", `import { guard } from "../remote/guard.ts"`, "arrow"],
  ["the engine that names a policy's kind", "engine/Call.ts", `const a = b === "rateLimiter"`, "knowledge"],
  ["the engine that has a policy's kind as a name", "engine/Call.ts", `const rateLimiter = 1`, "knowledge"],
  [
    "the engine that names a policy's rejection",
    "engine/Call.ts",
    `const a = e instanceof RateLimitExceeded`,
    "knowledge"
  ],
  ["the engine that names a policy's file", "engine/Call.ts", `import "../rateLimiter/LimitGate.ts"`, "knowledge"],
  [
    "the engine that has a policy's kind in a sentence",
    "engine/Call.ts",
    "const a = `the rateLimiter ${b}`",
    "knowledge"
  ],
  ["the engine that has a policy's kind in a name", "engine/Call.ts", `const isRateLimiter = 1`, "knowledge"],
  [
    "the engine that has a policy's kind as a private name",
    "engine/Call.ts",
    `class A { #rateLimiter = 1 }`,
    "knowledge"
  ],
  [
    "the engine that has a policy's tag in a sentence",
    "engine/Call.ts",
    `const a = "RateLimitExceeded: b"`,
    "knowledge"
  ],
  ["the engine that imports a kernel", "engine/Call.ts", `import "../kernel/TokenBucket.ts"`, "arrow"],
  ["the engine that loads a gate", "engine/Call.ts", `import { gate } from "../rateLimiter/LimitGate.ts"`, "arrow"],
  ["a policy that loads the pipeline later", "RateLimiter.ts", `export const a = import("./Resilience.ts")`, "arrow"],
  ["a shared file that imports a policy", "internal/validate.ts", `import "../RateLimiter.ts"`, "arrow"],
  ["the pipeline that imports telemetry", "Resilience.ts", `import "./Telemetry.ts"`, "arrow"],
  ["a module that imports index", "Telemetry.ts", `import "./index.ts"`, "arrow"],
  [
    "a shared file that imports index's types",
    "internal/validate.ts",
    `import type * as a from "../index.ts"`,
    "arrow"
  ],
  ["metrics outside Telemetry", "RateLimiter.ts", `import type * as Metric from "effect/Metric"`, "knowledge"],
  ["a tracer outside Telemetry", "Resilience.ts", `import * as Tracer from "effect/Tracer"`, "knowledge"],
  ["a logger outside Telemetry", "Resilience.ts", `import * as Logger from "effect/Logger"`, "knowledge"],
  ["a log outside Telemetry", "Resilience.ts", `Effect.logDebug("x")`, "knowledge"],
  ["a span outside Telemetry", "Resilience.ts", `Effect.withSpan("x")`, "knowledge"],
  ["a named function outside Telemetry", "Resilience.ts", `Effect.fn("x")`, "knowledge"],
  ["Tx outside the memory store", "RateLimiter.ts", `import * as TxHashMap from "effect/TxHashMap"`, "knowledge"],
  ["a Stream in the core", "Event.ts", `import * as Stream from "effect/Stream"`, "weight"],
  ["a PubSub in the core", "Event.ts", `import * as PubSub from "effect/PubSub"`, "weight"],
  ["a Queue in the core", "internal/validate.ts", `import { make } from "effect/Queue"`, "weight"],
  ["an inline type import of Stream, which loads it", "Event.ts", `import { type S } from "effect/Stream"`, "weight"],
  ["a Schema anywhere", "EventStream.ts", `import * as Schema from "effect/Schema"`, "weight"],
  ["a Schedule outside the bridge", "Retry.ts", `import * as Schedule from "effect/Schedule"`, "weight"],
  ["effect's index", "Retry.ts", `import { Effect } from "effect"`, "package"],
  ["another dependency", "Retry.ts", `import { readFileSync } from "node:fs"`, "package"],
  ["a file outside src", "Retry.ts", `import "../test/helpers.ts"`, "outside"],
  ["a module without a place", "Hedge.ts", `export {}`, "place"],
  ["a kernel too long", "kernel/Kernel.ts", "//\n".repeat(180), "size"],
  ["a module too long", "Retry.ts", "//\n".repeat(400), "size"]
]

describe("arrows", () => {
  it("a sound core breaks no rule", () => {
    assert.deepStrictEqual(check("resilience", sound), [])
  })

  for (const [name, file, text, rule] of cases) {
    it(`refuses ${name}`, () => {
      const violations = broken(file, text)
      const at = rule === "size" ? (file.startsWith("kernel") ? 181 : 401) : 1
      assert.include(violations, `${file}:${at} ${rule}`)
    })
  }

  it("knows a new policy however its kind and stage are written", () => {
    const written = [
      `export const a = { kind: "shedder", by: "key", stage: Stage.shed }`,
      `export const a = { stage: Policy.Stage.hedge, kind: 'shedder' }`,
      `export const a = { kind: "shedder", stage: 45 }`,
      `export class A { readonly kind: "shedder" = "shedder"; readonly stage: number = Stage.slots }`
    ]
    for (const text of written) {
      const sources = { ...sound, "bulkhead/Shed.ts": text, "engine/Call.ts": `export const call = "shedder"` }
      const found = check("resilience", sources).map(({ file, rule }) => `${file} ${rule}`)
      assert.deepStrictEqual(found, ["engine/Call.ts knowledge"], text)
    }
    const layer = { ...sound, "Retry.ts": `export const a = { kind: "loop", stage: Stage.retry }` }
    assert.deepStrictEqual(check("resilience", { ...layer, "engine/Call.ts": `export const call = "loop"` }), [])
  })

  it("allows the type of a heavy module, which weighs nothing", () => {
    assert.deepStrictEqual(broken("Event.ts", `import type * as Stream from "effect/Stream"`), [])
  })

  it("refuses a circle of files, naming its path, of values and of types", () => {
    const values = { "internal/a.ts": `import "./b.ts"`, "internal/b.ts": `\nexport * from "./a.ts"` }
    assert.deepStrictEqual(check("resilience", values), [
      { file: "internal/b.ts", line: 2, rule: "cycle", message: "internal/a.ts -> internal/b.ts -> internal/a.ts" }
    ])
    const types = {
      "internal/a.ts": `import type { b } from "./b.ts"`,
      "internal/b.ts": `export type A = import("./c.ts").A`,
      "internal/c.ts": `export type { A } from "./a.ts"`
    }
    const path = "internal/a.ts -> internal/b.ts -> internal/c.ts -> internal/a.ts"
    for (const name of ["resilience", "resilience-testing"]) {
      assert.deepStrictEqual(check(name, types), [{ file: "internal/c.ts", line: 1, rule: "cycle", message: path }])
    }
  })

  it("no two places stand above each other, so that every arrow goes down", () => {
    const above = (place: string, path: ReadonlyArray<string>): void => {
      assert.notInclude(path, place, [...path, place].join(" -> "))
      for (const below of arrows[place] ?? []) if (below !== place) above(below, [...path, place])
    }
    for (const place of Object.keys(arrows)) above(place, [])
  })

  it("refuses a second file that imports Schedule", () => {
    const second = {
      "retry/driver.ts": `import * as Schedule from "effect/Schedule"\nexport const a = Schedule`
    }
    const violations = check("resilience", { ...sound, ...second })
    assert.deepStrictEqual(
      violations.map(({ file, rule }) => `${file} ${rule}`),
      ["retry/RetrySchedule.ts weight", "retry/driver.ts weight"]
    )
  })

  it("holds satellites to the public modules, their own files, no index and 400 lines", () => {
    const imports = [
      `import "effect-resilience/RateLimiter"`,
      `import "effect-resilience/internal/validate"`,
      `import "../../resilience/src/Store.ts"`,
      `import "./index.ts"`,
      `import "effect-resilience"`,
      `import { Effect } from "effect"`,
      "\n".repeat(400)
    ]
    const violations = check("resilience-redis", { "RedisStore.ts": imports.join("\n"), "index.ts": "" })
    assert.sameMembers(
      violations.map(({ line, rule }) => `${line} ${rule}`),
      ["2 arrow", "3 outside", "4 arrow", "5 package", "6 package", "401 size"]
    )
  })
})
