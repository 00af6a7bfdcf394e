/**
 * Which policies are in use on a store.
 *
 * A limit or a circuit is known to a shared store by the name of its service. Two services of one name with different
 * policies are two applications that share a bucket by mistake, or one that is built twice: the second is refused while
 * the first is open. One after the other is a change of policy, which stores know how to take.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { sorted } from "../kernel/StateShape.ts"
import { refuse } from "../Validate.ts"
import type { AnySpace, Store } from "../StoreModel.ts"

interface Open {
  readonly policy: string
  services: number
}

const stores = new WeakMap<Store["Service"], Map<string, Open>>()

const openIn = (store: Store["Service"]): Map<string, Open> => {
  let open = stores.get(store)
  if (open === undefined) stores.set(store, (open = new Map()))
  return open
}

const policyOf = ({ kernel, policy }: AnySpace): string => `${kernel.id} ${JSON.stringify(policy, sorted)}`

/** Notes the spaces of a service until the scope closes. Dies where one of them is open with another policy. */
export const open = (
  store: Store["Service"],
  module: string,
  id: string,
  spaces: ReadonlyArray<AnySpace>
): Effect.Effect<void, never, Scope.Scope> => {
  const acquire = Effect.sync(() => {
    const known = openIn(store)
    for (const space of spaces) {
      const other = known.get(space.name)?.policy
      if (other === undefined || other === policyOf(space)) continue
      refuse(
        module,
        "id",
        id,
        `is open on this store with another policy (${other}): give one of the two services another id`
      )
    }
    for (const space of spaces) {
      const entry = known.get(space.name)
      if (entry === undefined) known.set(space.name, { policy: policyOf(space), services: 1 })
      else entry.services++
    }
  })
  const release = Effect.sync(() => {
    const known = openIn(store)
    for (const { name } of spaces) if (--known.get(name)!.services === 0) known.delete(name)
  })
  return Effect.acquireRelease(acquire, () => release)
}
