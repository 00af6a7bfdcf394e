/** What a guard makes of a store elsewhere that can begin a question: asked, answered, left and noted. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { guarded } from "../../src/remote/guard.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { StoreError } from "../../src/Rejection.ts"
import * as RemoteStore from "../../src/RemoteStore.ts"
import { type AnySpace, Step, type Store } from "../../src/Store.ts"

const space: AnySpace = {
  name: "app/Api/limit",
  kernel: fixedWindow,
  policy: { limit: 10, window: 1_000 },
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
}
const take = (key: string) => new Step(space, key, { op: "take", cost: 1 })

type Begin = NonNullable<Store["Service"]["begin"]>

interface Question {
  readonly steps: ReadonlyArray<Step>
  readonly tell: Parameters<Begin>[2]
  isTakenBack: boolean
}

/** A guard, and what the store behind it is asked. It notes a place on each step, and is answered for by the test. */
const behindGuard = () => {
  const questions: Array<Question> = []
  const notBegun = () => Effect.die(new Error("not begun"))
  const begin: Begin = (steps, _fiber, tell) => {
    const question = { steps: steps.map((step) => Object.assign(take(step.key), step)), tell, isTakenBack: false }
    questions.push(question)
    for (const step of steps) step.place = `where ${step.key} is`
    return () => {
      question.isTakenBack = true
    }
  }
  const store = RemoteStore.make({ commit: notBegun, read: notBegun, clear: notBegun, begin })
  const guard = guarded(store, "app/Api", { onError: "local", deadline: 100, localShare: 1 })
  const ask = (...steps: ReadonlyArray<Step>) => Effect.forkChild(guard.commit(steps), { startImmediately: true })
  return { questions, ask }
}

const reply = (allowed: boolean) => Exit.succeed({ now: 0, allowed, answers: [] })

describe("a guard", () => {
  it.effect("begins a question where the store can, also one without steps", () =>
    Effect.gen(function* () {
      const { ask, questions } = behindGuard()
      for (const steps of [[take("ada"), take("bob")], []]) {
        const asking = yield* ask(...steps)
        const question = questions.pop()!
        assert.deepStrictEqual(
          question.steps.map(({ key }) => key),
          steps.map(({ key }) => key)
        )
        question.tell(reply(true))
        assert.deepStrictEqual(yield* Fiber.await(asking), reply(true))
        assert.isFalse(question.isTakenBack)
      }
    })
  )

  it.effect("gives each step back to the store with the place that it noted there", () =>
    Effect.gen(function* () {
      const { ask, questions } = behindGuard()
      const steps = [take("ada"), take("bob"), take("cyd")]
      for (const expected of [undefined, "where", "where"]) {
        const asking = yield* ask(...steps)
        const question = questions.pop()!
        for (const { key, place } of question.steps) {
          assert.strictEqual(place, expected === undefined ? undefined : `where ${key} is`)
        }
        question.tell(reply(true))
        yield* Fiber.join(asking)
      }
    })
  )

  it.effect("decides itself what was refused before the store was away", () =>
    Effect.gen(function* () {
      const { ask, questions } = behindGuard()
      const step = take("ada")
      const refused = yield* ask(step)
      questions.pop()!.tell(reply(false))
      assert.isFalse((yield* Fiber.join(refused)).allowed)
      const asking = yield* ask(step)
      questions.pop()!.tell(Exit.fail(new StoreError({ reason: "unavailable" })))
      assert.isTrue((yield* Fiber.join(asking)).allowed)
    })
  )

  it.effect("takes back what nobody waits for, unless it may take something, of which it keeps a thousand", () =>
    Effect.gen(function* () {
      const { ask, questions } = behindGuard()
      const leave = Effect.fnUntraced(function* (step: Step) {
        yield* Fiber.interrupt(yield* ask(step))
        return questions.at(-1)!.isTakenBack
      })
      assert.isTrue(yield* leave(new Step(space, "ada", { op: "refund", receipt: { start: 0, cost: 1 } })))
      for (let i = 0; i < 600; i++) assert.isFalse(yield* leave(take("ada")))
      yield* TestClock.adjust("1 second") // the deadline of those who left is nothing to anybody
      for (let i = 0; i < 400; i++) assert.isFalse(yield* leave(take("ada")), `question ${600 + i}`)
      assert.isTrue(yield* leave(take("ada")))
    })
  )
})
