/**
 * Callbacks of one call that run in code which serves several.
 */

/** A global of every JavaScript engine, which no type library of this package declares. */
declare const queueMicrotask: (task: () => void) => void

/** An exception that no call can receive. The process hears of it (`uncaughtException`), after the code that runs now. */
export const report = (defect: unknown): void =>
  queueMicrotask(() => {
    throw defect
  })

/** Runs a callback of one call. What it throws is reported, so that the callbacks of other calls still run. */
export const isolated = (callback: () => void): void => {
  try {
    callback()
  } catch (defect) {
    report(defect)
  }
}
