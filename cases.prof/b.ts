import { Effect, Fiber } from "effect"
import { Bulkhead, Resilience } from "effect-resilience"
const run = (e: any) => Effect.runPromise(e)
const cpu = () => {
  const u = process.cpuUsage()
  return (u.user + u.system) / 1000
}
const N = Number(process.env.N ?? 100_000)
const b: any = await run(
  Resilience.make("b", {
    bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxQueued: 200_000, maxWait: "3 seconds" })
  } as any) as any
)
const hold: any = Effect.runFork(b.resilient(Effect.never, "x"))
const t0 = performance.now()
const fibers: any[] = []
for (let i = 0; i < N; i++) fibers.push(Effect.runFork(b.resilient(Effect.void, "x")))
console.log("bulkhead: queued in", (performance.now() - t0).toFixed(0) + " ms")
const c = cpu()
await run(Effect.forEach(fibers, (f: any) => Fiber.await(f), { discard: true }))
console.log(N, "end:", (cpu() - c).toFixed(0) + " ms CPU")
process.exit(0)
