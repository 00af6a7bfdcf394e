/**
 * The laws of what a store answers.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import type { StoreError } from "effect-resilience/Rejection"
import { type AnySpace, type Committed, Step } from "effect-resilience/Store"
import { int } from "./limiterTraffic.ts"
import {
  AGES,
  type Content,
  type Dice,
  isKept,
  keeper,
  ledger,
  limiters,
  nothing,
  rolls,
  type Subject,
  subjectOf
} from "./storeKernels.ts"
import { type Draft, draft, type Lab } from "./storeLab.ts"
import { Model, must, mustEqual } from "./storeModel.ts"

const keys = ["ada", "bob", "cyd"]
const dimensions = ["user", "tenant", "region", "global"]

interface Subjected extends Subject {
  readonly space: AnySpace
  /** The answers that a later input may refer to, by key. */
  readonly answers: Map<string, Array<unknown>>
}

const subjectsOf = (lab: Lab, kinds: ReadonlyArray<Dice>): ReadonlyArray<Subjected> =>
  kinds.map((kind, i) => {
    const subject = subjectOf(kind)
    return { ...subject, space: lab.space(subject.kernel, subject.policy, dimensions[i]!), answers: new Map() }
  })

/** A commit asks a key once. */
const stepsOf = (subjects: ReadonlyArray<Subjected>, commit: ReadonlyArray<Dice>): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  for (const roll of commit) {
    const { answers, input, space } = subjects[roll.which % subjects.length]!
    const key = keys[roll.key]!
    if (steps.some((step) => step.space === space && step.key === key)) continue
    steps.push(new Step(space, key, input(roll, answers.get(key) ?? []) as never)) // an input of this very kernel
  }
  return steps
}

const remember = (subjects: ReadonlyArray<Subjected>, steps: ReadonlyArray<Step>, answers: ReadonlyArray<unknown>) =>
  steps.forEach((step, i) => {
    if (!isKept(step.input)) return
    const { answers: known } = subjects.find(({ space }) => space === step.space)!
    known.set(step.key, [...(known.get(step.key) ?? []), answers[i]])
  })

/** Mostly no time passes; sometimes a little, and sometimes what a small window lasts. */
const pauseOf = ({ pick, what }: Dice): number => (what < 70 ? 0 : what < 90 ? 1 + (pick % 9) : 10 + (pick % 80))

const history = Arbitrary.all({ kinds: rolls(4, 1), commits: Arbitrary.array(rolls(5, 1), { maxLength: 25 }) })

const answersAsTheKernels = draft(
  "a commit answers as the kernels do at its now, and what is read back is what they left",
  history,
  100,
  Effect.fnUntraced(function* (lab: Lab, { commits, kinds }) {
    const subjects = subjectsOf(lab, kinds)
    const model = new Model()
    for (const commit of commits) {
      const steps = stepsOf(subjects, commit)
      const committed = yield* lab.commit(steps)
      model.commit(steps, committed)
      if (committed.allowed) remember(subjects, steps, committed.answers)
      const { key, space } = steps[0]!
      model.read(space, key, yield* lab.read(space, key))
      const pause = pauseOf(commit[0]!)
      if (pause > 0) yield* lab.advance(pause)
    }
    for (const { space } of subjects) for (const key of keys) model.read(space, key, yield* lab.read(space, key))
  })
)

const allOrNothing = draft(
  "all steps of a commit are kept, or none",
  Arbitrary.all({ warmUp: Arbitrary.array(rolls(4, 1), { maxLength: 8 }), last: rolls(5, 1), at: int(0, 5) }),
  50,
  Effect.fnUntraced(function* (lab: Lab, { at, last, warmUp }) {
    // limiters that have not ended when the law looks again
    const subjects = dimensions.map((dimension, i): Subjected => {
      const { kernel, policy } = limiters[i]!
      const input: Subject["input"] = ({ size }) => ({ op: "take", cost: size % 4 })
      const space = lab.space(kernel, policy(20, AGES), dimension)
      return { kernel, policy: space.policy, input, space, answers: new Map() }
    })
    for (const commit of warmUp) yield* lab.commit(stepsOf(subjects, commit))
    const look = Effect.forEach(subjects, ({ space }) =>
      Effect.forEach(keys, (key) => Effect.map(lab.read(space, key), ({ state }) => (state as unknown) ?? "absent"))
    )
    const before = yield* look
    const refused = lab.space(fixedWindow, { limit: 1, window: AGES }, "refused")
    const steps: Array<Step> = [...stepsOf(subjects, last)]
    steps.splice(at % (steps.length + 1), 0, new Step(refused, "key", { op: "take", cost: 2 }))
    const { allowed } = yield* lab.commit(steps)
    mustEqual(allowed, false, "whether a commit is allowed that a limit refuses")
    mustEqual(yield* look, before, "what other keys hold after a commit that one step refused")
    mustEqual((yield* lab.ask(refused, "key", { op: "take", cost: 0 })).remaining, 1, "what the refused step left")
  })
)

const inOrder = draft(
  "answers stand in the order of the steps",
  rolls(12, 2),
  50,
  Effect.fnUntraced(function* (lab: Lab, commit) {
    const spaces = dimensions.map((dimension) => lab.space(keeper, nothing, dimension))
    const contents = commit.map((roll, i): Content => ({ ...nothing, whole: i, text: String(roll.size) }))
    const steps = commit.map(
      ({ size, which }, i) =>
        new Step(spaces[which % spaces.length]!, `${size}:${i}`, { keep: true, content: contents[i]! })
    )
    const { answers } = yield* lab.commit(steps)
    mustEqual(
      answers.map((answer) => answer?.content),
      contents,
      "what the steps kept, one after the other"
    )
  })
)

const oneNow = draft(
  "every step of a commit is given its one now",
  rolls(8, 1),
  30,
  Effect.fnUntraced(function* (lab: Lab, commit) {
    const spaces = dimensions.map((dimension) => lab.space(ledger, { initial: 0, limit: 10 }, dimension))
    const steps = commit.map(({ which }, i) => new Step(spaces[which % spaces.length]!, `key ${i}`, { add: 1 }))
    const { answers, now } = yield* lab.commit(steps)
    must(Number.isSafeInteger(now), () => `now is ${now}, and not whole milliseconds`)
    for (const answer of answers) mustEqual(answer?.at, now, "the time that a step was given")
  })
)

const forward = draft(
  "now never goes back, and passes as time does",
  rolls(8, 1),
  10,
  Effect.fnUntraced(function* (lab: Lab, questions) {
    const space = lab.space(ledger, { initial: 0, limit: 1_000 }, "time")
    let last = -Infinity
    for (const { size, what } of questions) {
      const { now } =
        what % 2 === 0 ? yield* lab.read(space, "ada") : yield* lab.commit([new Step(space, "ada", { add: 1 })])
      must(now >= last, () => `now went back from ${last} to ${now}`)
      const pause = 20 + (size % 30)
      yield* lab.advance(pause)
      const later = (yield* lab.read(space, "ada")).now
      // timers of a machine and the clock of another agree roughly
      must(
        later - now >= pause / 2,
        () => `${pause} ms were to pass, and the store's now moved by ${later - now}: is \`advance\` for its clock?`
      )
      last = later
    }
  })
)

const absent = draft(
  "an absent key means the initial state, as its policy has it",
  Arbitrary.all({ a: int(0, 999), b: int(0, 999) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { a, b }) {
    for (const [name, initial] of [
      ["one", a],
      ["other", b]
    ] as const) {
      const space = lab.space(ledger, { initial, limit: initial + 1 }, name)
      const { state } = yield* lab.read(space, "ada")
      mustEqual(state ?? { count: initial }, { count: initial }, "what a key holds that nobody has used")
      const { count } = yield* lab.ask(space, "ada", { add: 1 })
      mustEqual(count, initial + 1, `1 added to an absent key that begins at ${initial}`)
    }
  })
)

const empty = draft(
  "a commit without steps is allowed, and answers nothing",
  Arbitrary.Constant("nothing"),
  1,
  Effect.fnUntraced(function* (lab: Lab) {
    const { allowed, answers, now } = yield* lab.commit([])
    mustEqual({ allowed, answers: [...answers] }, { allowed: true, answers: [] }, "the answer to no question")
    must(Number.isSafeInteger(now), () => `now is ${now}, and not whole milliseconds`)
  })
)

const refunds = draft(
  "what was taken can be given back",
  Arbitrary.all({ limiter: int(0, limiters.length - 1), taken: int(0, 10), cost: int(1, 10) }),
  50,
  Effect.fnUntraced(function* (lab: Lab, { cost, limiter, taken }) {
    const { kernel, policy } = limiters[limiter]!
    const space: AnySpace = lab.space(kernel, policy(20, AGES), "limit")
    const ask = (input: unknown) =>
      Effect.map(lab.ask(space, "ada", input), (answer) => answer as LimiterDecision<unknown>)
    yield* ask({ op: "take", cost: taken })
    const { receipt } = yield* ask({ op: "take", cost })
    yield* ask({ op: "refund", receipt })
    const { remaining } = yield* ask({ op: "take", cost: 0 })
    mustEqual(remaining, 20 - taken, `units left of 20 after ${taken} were taken, and ${cost} taken and given back`)
  })
)

const again = draft(
  "a step may be committed again, with another input",
  Arbitrary.array(int(0, 3), { maxLength: 8 }),
  20,
  Effect.fnUntraced(function* (lab: Lab, inputs) {
    const space = lab.space(ledger, { initial: 0, limit: 1_000 }, "again")
    const step = new Step(space, "ada", { add: 1 })
    let sum = 1
    yield* lab.commit([step])
    for (const add of inputs) {
      if (add === 0) {
        // wherever the store remembers the key to be, it is there no more
        yield* lab.clear(space)
        sum = 0
      }
      step.input = { add }
      sum += add
      const { answers } = yield* lab.commit([step])
      mustEqual(answers[0]?.count, sum, `the sum after ${add} were added by a step that was committed before`)
    }
  })
)

const begun = draft(
  "what is begun is a commit, told once",
  Arbitrary.array(int(1, 3), { minLength: 1, maxLength: 12 }),
  30,
  Effect.fnUntraced(function* (lab: Lab, costs) {
    const { begin } = lab.store
    if (begin === undefined) return
    const space = lab.space(fixedWindow, { limit: 100, window: AGES }, "begun")
    let sum = 0
    let told = 0
    for (const cost of costs) {
      sum += cost
      const reply = yield* Effect.withFiber((fiber) =>
        Effect.callback<Committed<ReadonlyArray<Step>>, StoreError>((resume) => {
          const takeBack = begin([new Step(space, "ada", { op: "take", cost })], fiber, (exit) => {
            told++
            resume(exit)
          })
          return Effect.sync(takeBack)
        })
      ).pipe(lab.asked("begin"))
      const [answer] = reply.answers as ReadonlyArray<LimiterDecision<unknown> | undefined> // of this very step
      mustEqual(reply.allowed, true, `whether ${cost} more are let through`)
      mustEqual(answer?.remaining, 100 - sum, `what is left of 100 after ${sum}`)
      mustEqual((yield* lab.read(space, "ada")).state?.used, sum, "the sum that is read")
    }
    mustEqual(told, costs.length, "how often somebody was told")
  })
)

export const lawsOfAnswers: ReadonlyArray<Draft> = [
  answersAsTheKernels,
  allOrNothing,
  inOrder,
  oneNow,
  forward,
  absent,
  empty,
  refunds,
  again,
  begun
]
