/** What an error says: whose it is, what it means to the circuits around, and what is printed of it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Outcome,
  RateLimiter,
  Rejection,
  Resilience,
  Retry
} from "../../src/index.ts"

class RepoError extends Data.TaggedError("RepoError")<{ readonly cause: unknown }> {}

const refusal = new Rejection.RateLimitExceeded({ key: "k", reason: "limit", retryAfterMillis: 1, limits: [] })
const errorIn = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrUndefined(Exit.findErrorOption(exit))

describe("a rejection that user code has wrapped (case wrapped-rejection)", () => {
  const wraps: Record<string, (self: Effect.Effect<void, unknown>) => Effect.Effect<void, unknown>> = {
    bare: (self) => self,
    "as the cause of an error": (self) => Effect.mapError(self, (cause) => new RepoError({ cause })),
    "three deep": (self) =>
      Effect.mapError(self, (cause) => new RepoError({ cause: new Error("b", { cause: new Error("c", { cause }) }) })),
    "as a defect": (self) => Effect.orDie(self),
    "as an Effect Cause": (self) => Effect.catchCause(self, (cause) => Effect.fail(new RepoError({ cause })))
  }
  for (const [how, wrap] of Object.entries(wraps)) {
    it.effect(`opens no circuit around it, and is not retried: ${how}`, () =>
      Effect.gen(function* () {
        const inner = yield* Resilience.make("app/Db", {
          rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
        })
        yield* inner.resilient(Effect.void, "ada")
        const outer = yield* Resilience.make("app/Web", {
          circuitBreaker: CircuitBreaker.policy({
            tripPolicy: CircuitBreaker.consecutive(1),
            openDuration: "1 minute"
          }),
          retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(0) })
        })
        let asked = 0
        const find = Effect.suspend(() => (asked++, wrap(inner.resilient(Effect.void, "ada"))))
        for (let i = 0; i < 5; i++) yield* Effect.exit(outer.resilient(find, "k"))
        assert.strictEqual(asked, 5)
        assert.deepInclude((yield* outer.inspect("k")).circuitBreaker, {
          state: "Closed",
          windows: [{ calls: 0, bad: 0 }]
        })
      })
    )
  }

  it.effect("is retried where the policy retries rejections, not before its time", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      let runs = 0
      const wrapped = new RepoError({ cause: new Rejection.BulkheadFull({ key: "k", reason: "full" }) })
      const policy = Retry.policy({
        maxAttempts: 2,
        backoff: Backoff.constant(0),
        while: () => false,
        retryRejections: (rejection) => (seen.push(rejection), true)
      })
      yield* Effect.exit(
        Retry.execute(
          Effect.suspend(() => (runs++, Effect.fail(wrapped))),
          policy
        )
      )
      assert.strictEqual(runs, 2)
      assert.deepStrictEqual(seen, [wrapped.cause, wrapped.cause], "after the last attempt, too")
      assert.strictEqual(policy.hintOf(new RepoError({ cause: refusal })), 1)
    })
  )

  const outcomes: Record<string, readonly [error: unknown, outcome: Outcome.Outcome]> = {
    "a timeout stops the walk": [
      new Rejection.TimeoutExceeded({ key: "k", scope: "call", timeoutMillis: 1_000, cause: refusal }),
      "failure"
    ],
    "as does what is left of several attempts": [
      new Rejection.RetryExhausted({ key: "k", attempts: 3, errors: ["503", refusal] }),
      "failure"
    ],
    "also where those are a cause": [
      new RepoError({
        cause: new Rejection.TimeoutExceeded({ key: "k", scope: "call", timeoutMillis: 1, cause: refusal })
      }),
      "failure"
    ],
    "a rejection in a Cause among interruptions": [
      new RepoError({ cause: Cause.combine(Cause.interrupt(1), Cause.fail(refusal)) }),
      "ignored"
    ],
    "a defect in a Cause": [new RepoError({ cause: Cause.die(refusal) }), "ignored"],
    "another error in a Cause": [new RepoError({ cause: Cause.fail("503") }), "failure"],
    "another field": [Object.assign(new Error("x"), { reason: refusal }), "failure"],
    "a getter that throws": [
      {
        get cause(): unknown {
          throw new Error("boom")
        }
      },
      "failure"
    ]
  }
  for (const [what, [error, outcome]] of Object.entries(outcomes)) {
    it(`${what}: ${outcome}`, () => {
      assert.strictEqual(Outcome.fromExit(Exit.fail(error)), outcome)
      assert.strictEqual(Outcome.fromExit(Exit.die(error)), outcome)
    })
  }

  it("is found eight links away, and no further; a circle ends", () => {
    const deep = (links: number): unknown => (links === 0 ? refusal : new Error("x", { cause: deep(links - 1) }))
    assert.strictEqual(Outcome.fromExit(Exit.fail(deep(8))), "ignored")
    assert.strictEqual(Outcome.fromExit(Exit.fail(deep(9))), "failure")
    const circle = new Error("x")
    circle.cause = circle
    assert.strictEqual(Outcome.fromExit(Exit.fail(circle)), "failure")
    circle.cause = Cause.fail(circle)
    assert.strictEqual(Outcome.fromExit(Exit.fail(circle)), "failure")
    const deepest = (links: number): unknown =>
      links === 0 ? refusal : new Error("x", { cause: Cause.fail(deepest(links - 1)) })
    assert.strictEqual(Outcome.fromExit(Exit.fail(deepest(8))), "ignored")
    assert.strictEqual(Outcome.fromExit(Exit.fail(deepest(9))), "failure")
  })

  it("a success is not looked into", () => {
    assert.strictEqual(Outcome.fromExit(Exit.succeed(new RepoError({ cause: refusal }))), "success")
  })
})

describe("an error says which service raised it (case which-service)", () => {
  const window = { limit: 1, window: "1 hour" } as const
  const limited = (id: string) => Resilience.make(id, { rateLimiter: RateLimiter.fixedWindow(window) })
  const slotted = (id: string) => Resilience.make(id, { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })

  it.effect("two refusals of one key are told apart", () =>
    Effect.gen(function* () {
      const outer = yield* limited("app/PerUser")
      const inner = yield* limited("app/Database")
      yield* inner.resilient(Effect.void, "ada")
      const call = outer.resilient(inner.resilient(Effect.void, "ada"), "ada")
      assert.deepInclude(yield* Effect.flip(call), { service: "app/Database", key: "ada" })
      assert.deepInclude(yield* Effect.flip(call), { service: "app/PerUser", key: "ada" })
      assert.include(JSON.stringify(yield* Effect.flip(call)), '"service":"app/PerUser"')
    })
  )

  it.effect(
    "a bulkhead that is full, a circuit that is open, a timeout and what is left of several attempts as well",
    () =>
      Effect.gen(function* () {
        const { resilient } = yield* slotted("app/Slots")
        yield* Effect.forkChild(resilient(Effect.sleep(50), "a"), { startImmediately: true })
        assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "a")), { service: "app/Slots" })
        yield* TestClock.adjust(50)
        const open = yield* Resilience.make("app/Open", {
          circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
        })
        yield* Effect.exit(open.resilient(Effect.fail("down"), "a"))
        assert.deepInclude(yield* Effect.flip(open.resilient(Effect.void, "a")), { service: "app/Open" })
        const slow = yield* Resilience.make("app/Slow", { timeout: 10 })
        const fiber = yield* Effect.forkChild(Effect.exit(slow.resilient(Effect.never, "a")))
        yield* TestClock.adjust(10)
        assert.deepInclude(errorIn(yield* Fiber.join(fiber)), { service: "app/Slow" })
        const wraps = yield* Resilience.make("app/Wraps", {
          retry: Retry.policy({ maxAttempts: 1, onExhausted: "wrap" })
        })
        assert.deepInclude(yield* Effect.flip(wraps.resilient(Effect.fail("no"), "a")), { service: "app/Wraps" })
      })
  )
})

describe("an error says what caused it (case causes)", () => {
  class Boom extends Data.TaggedError("Boom")<{ readonly n: number }> {
    override get message() {
      return `db said no ${this.n}`
    }
  }

  it.effect("what is left of several attempts has the last of them, which the log shows", () =>
    Effect.gen(function* () {
      let n = 0
      const policy = Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(0), onExhausted: "wrap" })
      const exit = yield* Effect.exit(
        Retry.execute(
          Effect.suspend(() => Effect.fail(new Boom({ n: ++n }))),
          policy
        )
      )
      const error = errorIn(exit)
      assert.instanceOf(error, Rejection.RetryExhausted)
      assert.strictEqual(error.cause, error.errors[1])
      const printed = Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty)
      assert.include(printed, "RetryExhausted")
      assert.include(printed, "db said no 2")
    })
  )

  it.effect(
    "a timeout of the call has the error of the attempt before, where one had failed; an attempt's has none",
    () =>
      Effect.gen(function* () {
        const run = Effect.fnUntraced(function* (
          timeouts: { readonly timeout?: number; readonly attemptTimeout?: number },
          self: (run: number) => Effect.Effect<never, string>
        ) {
          const { resilient } = yield* Resilience.make("app/Api", {
            ...timeouts,
            retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1) })
          })
          let n = 0
          const call = Effect.exit(
            resilient(
              Effect.suspend(() => self(++n)),
              "k"
            )
          )
          const fiber = yield* Effect.forkChild(call)
          yield* TestClock.adjust("1 minute")
          const exit = yield* Fiber.join(fiber)
          const error = errorIn(exit)
          assert.instanceOf(error, Rejection.TimeoutExceeded)
          return { error, printed: Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty) }
        })
        const second = yield* run({ timeout: 100 }, (n) => (n === 1 ? Effect.fail("503") : Effect.never))
        assert.strictEqual(second.error.cause, "503")
        assert.include(second.printed, "503")
        assert.isFalse("cause" in (yield* run({ timeout: 100 }, () => Effect.never)).error)
        assert.isFalse("cause" in (yield* run({ attemptTimeout: 100 }, () => Effect.never)).error)
      })
  )
})

describe("an error that nothing handles (case unhandled)", () => {
  it("is printed by Node with its tag, its service, its key and its reason", () => {
    const child = fileURLToPath(new URL("unhandled.child.ts", import.meta.url))
    const options = ["--no-warnings", "--conditions=effect-resilience-source", child]
    let printed = ""
    try {
      execFileSync(process.execPath, options, { encoding: "utf8", stdio: "pipe" })
    } catch (error) {
      printed = String((error as { readonly stderr: unknown }).stderr)
    }
    for (const word of ["RateLimitExceeded", "app/Mail", "ada", "limit"]) assert.include(printed, word)
  })

  it("keeps its message under structuredClone, and says it in `stack` without one being captured", () => {
    const errors = [
      refusal,
      new Rejection.CircuitOpen({ key: "k", state: "Open", retryAfterMillis: 1 }),
      new Rejection.BulkheadFull({ key: "k", reason: "full" }),
      new Rejection.StoreError({ reason: "unavailable" }),
      new Rejection.TimeoutExceeded({ key: "k", scope: "call", timeoutMillis: 1 }),
      new Rejection.RetryExhausted({ key: "k", attempts: 1, errors: ["no"] })
    ]
    for (const error of errors) {
      const cloned = structuredClone(error) as { readonly message: string }
      assert.strictEqual(cloned.message, error.message)
      assert.isAbove(error.message.length, 5)
      const { get } = Object.getOwnPropertyDescriptor(error, "stack")!
      assert.isFunction(get)
      assert.strictEqual(get, Object.getOwnPropertyDescriptor(refusal, "stack")!.get, "one for all")
      assert.strictEqual(error.stack, `${error._tag}: ${error.message}`)
    }
  })
})
