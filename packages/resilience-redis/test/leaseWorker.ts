/**
 * A process of its own that asks one leased limit: `node leaseWorker.ts <settings>`. Each line it writes is one admission:
 * the times, on this machine's monotonic clock, between which it was decided. The last says how many calls there were.
 */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"

export interface WorkerSettings {
  readonly url: string
  readonly limit: Parameters<typeof RateLimiter.tokenBucket>[0]
  /** Milliseconds. */
  readonly lasts: number
  /** So many calls, then a pause of so many milliseconds. */
  readonly rush: number
  readonly pause: number
  readonly atOnce: number
  /** It does not end, and keeps what it holds. */
  readonly stays?: boolean
}

const settings = JSON.parse(process.argv[2]!) as WorkerSettings // the test wrote it
const now = () => Number(process.hrtime.bigint()) / 1e6

const work = Effect.gen(function* () {
  const { resilient } = yield* Resilience.makeFromStore("workers", {
    rateLimiter: RateLimiter.tokenBucket(settings.limit),
    store: { onError: "fail", deadline: "10 seconds" }
  })
  const lines: Array<string> = []
  const ask = Effect.suspend(() => {
    const from = now()
    return Effect.map(Effect.exit(resilient(Effect.void, "all")), (exit) => {
      if (exit._tag === "Success") lines.push(`${from} ${now()}`)
    })
  })
  const until = now() + settings.lasts
  let asked = 0
  do {
    asked += settings.rush
    yield* Effect.all(
      Array.from({ length: settings.rush }, () => ask),
      { concurrency: settings.atOnce, discard: true }
    )
    yield* Effect.sleep(settings.pause)
  } while (now() < until)
  process.stdout.write(`${[...lines, `asked ${asked}`].join("\n")}\n`)
  if (settings.stays === true) yield* Effect.never
})

const StoreLive = RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(NodeRedis.layer({ url: settings.url })))
await Effect.runPromise(Effect.scoped(Effect.provide(work, StoreLive)))
