/**
 * The heap of this process, which was started with `--expose-gc`.
 */
import { PerformanceObserver } from "node:perf_hooks"

const collect = (): void => {
  if (globalThis.gc === undefined) throw new Error("start node with --expose-gc")
  globalThis.gc()
}

/** Bytes that are reachable. Turns in between let finalizers and weak references do their part. */
export const settledHeap = async (): Promise<number> => {
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

/** Bytes allocated since, as long as nothing is collected meanwhile. */
export const allocatedBy = async (run: () => void | Promise<void>): Promise<number> => {
  collect()
  const before = process.memoryUsage().heapUsed
  await run()
  return process.memoryUsage().heapUsed - before
}

/** Listens to the collector. `stop` tells how many milliseconds of an interval were its own. */
export const watchCollector = () => {
  const pauses: Array<{ readonly from: number; readonly to: number }> = []
  const observer = new PerformanceObserver((list) => {
    for (const { duration, startTime } of list.getEntries()) pauses.push({ from: startTime, to: startTime + duration })
  })
  observer.observe({ entryTypes: ["gc"] })
  const stop = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50)) // entries come a turn late
    observer.disconnect()
    return (from: number, to: number): number =>
      pauses.reduce((sum, pause) => sum + Math.max(0, Math.min(to, pause.to) - Math.max(from, pause.from)), 0)
  }
  return { stop }
}
