/**
 * What a policy begins with on a key that another policy of the same algorithm has used.
 *
 * A shared store keeps a state for each policy that writes to a key: two versions of a service, during a rolling
 * deployment, each decide on their own state. A policy that has none yet takes over what the last writer owed *at the
 * time of that write*. Taken over "as of now" it would never end: a refusal is not written, so the next question would
 * find the same debt again, as of a later now.
 */
import type { Decision, Kernel } from "./Kernel.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- a store holds kernels of all types, and hands each its own data
export type AnyKernel = Kernel<any, any, any, Decision>

/**
 * What `from` had used of a limit at `at`, as far as `policy` can hold it, taken by `policy` at that time. `undefined` where
 * no limit has numbers like `from`.
 */
const adoptUnits = (kernel: AnyKernel, policy: unknown, from: unknown, state: unknown, at: number): unknown => {
  const remaining = (policy: unknown, state: unknown): number => {
    const [answer] = kernel.step(policy, state, { op: "take", cost: 0, most: 0 }, at)
    return (answer as Decision & { readonly remaining: number }).remaining // a limit's kernel says so
  }
  const fresh: unknown = kernel.initial(policy)
  const capacity = remaining(from, kernel.initial(from))
  if (!(capacity >= 1 && capacity <= 9007199254740991)) return undefined
  const used = capacity - remaining(from, state)
  const cost = Math.min(used, remaining(policy, fresh))
  return cost > 0 ? kernel.step(policy, fresh, { op: "take", cost, most: cost }, at)[1] : fresh
}

/**
 * The first state of `policy`, where `from` left `state` at `at`.
 *
 * `undefined` where there can be no such policy, or no such state of it: then what holds it was damaged.
 *
 * A kernel with `adopt` says it itself. A limit (`isLimit`) begins with the units that were used. What is neither begins
 * anew, and so does a limit that is asked to refund: the receipt is of a state that is gone.
 */
export const adopted = (
  kernel: AnyKernel,
  isLimit: boolean,
  policy: unknown,
  from: unknown,
  state: unknown,
  at: number
): unknown => {
  if (kernel.isPolicy !== undefined && !kernel.isPolicy(from)) return undefined
  if (kernel.isState !== undefined && !kernel.isState(from, state)) return undefined
  if (kernel.adopt !== undefined) return kernel.adopt(policy, state)
  return isLimit ? adoptUnits(kernel, policy, from, state, at) : kernel.initial(policy)
}
