/**
 * Bugs as people write them: `npx pnpm@12 planted [words of a name...]`.
 *
 * Each is planted in a copy of the tree, and the laws and random models must notice it; examples and regression tests
 * are not asked. Prints which test noticed. Fails where none did, or where a bug cannot be planted any more.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fail, isMain, run } from "../lib.ts"
import { copyTree } from "./copyTree.ts"

interface Bug {
  readonly name: string
  readonly file: string
  readonly from: string
  readonly to: string
}

const bugs: ReadonlyArray<Bug> = [
  {
    name: "a report ignores the generation",
    file: "kernel/BreakerReport.ts",
    from: "if (input.generation !== state.generation) return answer(state, 0, 0, NONE, given)",
    to: ""
  },
  {
    name: "> for >= in a trip by failures in a row",
    file: "kernel/BreakerWindow.ts",
    from: "window.bad >= trip.failures",
    to: "window.bad > trip.failures"
  },
  {
    name: "> for >= in a trip by rate",
    file: "kernel/BreakerWindow.ts",
    from: "window.bad / window.calls >= trip.threshold",
    to: "window.bad / window.calls > trip.threshold"
  },
  {
    name: "the lease of a probe never ends",
    file: "kernel/BreakerPhase.ts",
    from: "first.deadline <= now",
    to: "first.deadline === 0"
  },
  {
    name: "the edge of a slice is off by one",
    file: "kernel/SlidingWindow.ts",
    from: "Math.min(policy.slices - age, ",
    to: "Math.min(policy.slices - age - 1, "
  },
  {
    name: "a fixed window starts at its first call",
    file: "kernel/FixedWindow.ts",
    from: "const start = windowAt(policy, state, now)",
    to: "const start = state.used === 0 ? now : windowAt(policy, state, now)"
  },
  {
    name: "a bucket lets one token too many through",
    file: "kernel/TokenBucket.ts",
    from: "if (over > 0)",
    to: "if (over > policy.window)"
  },
  {
    name: "a refund is forgotten",
    file: "rateLimiter/LimitGate.ts",
    from: "store.sync.commit(refunds, nowOf(this.call!.fiber))",
    to: ""
  },
  {
    name: "a slot is kept where the call is interrupted",
    file: "engine/Call.ts",
    from: "if (ticket.release === undefined) continue",
    to: 'if (ticket.release === undefined || known === "ignored") continue'
  },
  {
    name: "a retry ignores that its circuit moved",
    file: "engine/Call.ts",
    from: "if (tickets[i]!.left?.(now) === true) return true",
    to: ""
  },
  {
    name: "a breaker counts rejections",
    file: "Outcome.ts",
    from: "if (Cause.isFailReason(reason) && isRejection(reason.error)) continue",
    to: ""
  },
  {
    name: "the last who waits is the first who goes",
    file: "waiting/WaitQueue.ts",
    from: "before.order > waiter.order",
    to: "before.order < waiter.order"
  },
  {
    name: "the oldest key is evicted, however much it owes",
    file: "internal/memoryCandidates.ts",
    from: "if (at <= first.at) return first",
    to: "return first"
  },
  {
    name: "a key is forgotten before its time",
    file: "internal/memoryTable.ts",
    from: "this.forgettableAt(kept) <= now",
    to: "this.forgettableAt(kept) <= now + 50"
  },
  {
    name: "the wall clock decides",
    file: "internal/time.ts",
    from: "Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)",
    to: "clock.currentTimeMillisUnsafe()"
  },
  {
    name: "what a closed circuit said once is said in its next life, too",
    file: "circuitBreaker/CircuitGate.ts",
    from: "this.welcome?.[1] !== state",
    to: "this.welcome === undefined"
  },
  {
    name: "a reset wakes nobody who backs off",
    file: "circuitBreaker/CircuitGate.ts",
    from: "if (local !== undefined) for (const watcher of Array.from(local.watchers)) watcher()",
    to: "void local"
  }
]

const asked = ["models/sequential", "models/interleaved", "bounds/", "conservation/", "laws/"]

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly message: string
    readonly assertionResults: ReadonlyArray<{ readonly status: string; readonly fullName: string }>
  }>
}

/** What noticed the bug; `undefined` where nothing did. */
const notice = (tree: string): string | undefined => {
  const output = join(tree, "planted.json")
  writeFileSync(output, "{}")
  const { ok, stderr, stdout } = run(
    join(tree, "node_modules/.bin/vitest"), // two copies of vitest do not go together
    ["run", "--config", "vitest.workspace.ts", "--project", "resilience", "--bail", "1", "--reporter", "json"].concat(
      ["--outputFile", output],
      asked.map((name) => `test/${name}`)
    ),
    { cwd: tree, timeoutSeconds: 900 }
  )
  if (ok) return undefined
  const report: Partial<Report> = JSON.parse(readFileSync(output, "utf8"))
  for (const { assertionResults, message, name } of report.testResults ?? []) {
    const failed = assertionResults.find(({ status }) => status === "failed")
    if (failed !== undefined) return `${name.slice(name.lastIndexOf("/test/") + 6)}: ${failed.fullName.trim()}`
    if (message !== "") return `${name}: ${message}`
  }
  return fail([`vitest did not run:\n${stdout}\n${stderr}`])
}

const plant = (tree: string, { file, from, to }: Bug): (() => void) => {
  const path = join(tree, "packages/resilience/src", file)
  const source = readFileSync(path, "utf8")
  if (source.split(from).length !== 2) fail([`${file} has not just one place for a bug: ${from}`])
  writeFileSync(
    path,
    source.replace(from, () => to)
  )
  return () => writeFileSync(path, source)
}

const main = () => {
  const words = process.argv.slice(2)
  const chosen = bugs.filter(({ name }) => words.every((word) => name.includes(word)))
  const tree = copyTree("planted")
  const seeds = { LAWS_SEED: "1", BOUNDS_SEED: "1", CONSERVATION_SEED: "1", MODEL_SEED: "1" }
  Object.assign(process.env, seeds)
  const sound = notice(tree)
  if (sound !== undefined) fail([`without a bug: ${sound}`])
  const unnoticed: Array<string> = []
  for (const bug of chosen) {
    const restore = plant(tree, bug)
    const noticed = notice(tree)
    restore()
    console.log(`${bug.name} | ${noticed ?? "NOT NOTICED"}`)
    if (noticed === undefined) unnoticed.push(`nothing noticed: ${bug.name}`)
  }
  if (unnoticed.length > 0) fail(unnoticed)
}

if (isMain(import.meta)) main()
