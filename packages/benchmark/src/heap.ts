/**
 * The heap of this process, which was started with `--expose-gc`.
 */
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
