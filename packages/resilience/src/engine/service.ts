/**
 * A service of one policy: a pipeline with nothing else in it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Key } from "../internal/key.ts"
import * as openServices from "../internal/openServices.ts"
import { openStore } from "../internal/openStore.ts"
import { type Env, type Guarded, type Local, type Member, type PolicyService, unbounded } from "../Policy.ts"
import { Store, type StoreView } from "../StoreModel.ts"
import { closing } from "./closing.ts"
import { assemble } from "./assemble.ts"
import type { CallOptions } from "./Pipeline.ts"
import { run } from "./run.ts"

/** Where the policy of such a service is opened: such a service has no timeout. */
export const envOf = (service: string, label: string, store: Local | Guarded): Env => ({
  service,
  label,
  store,
  longest: unbounded
})

/** A pipeline of one member. `Raises`: what the member adds to the errors of an effect; nothing else can refuse there. */
export const single = <Raises>(id: string, member: Member, store: Local | Guarded) => {
  const pipeline = assemble(id, [member], store)
  return <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key,
    { classify, cost = 1, maxWait }: Partial<CallOptions> = {}
  ): Effect.Effect<A, E | Raises, R> =>
    run(pipeline, self, key, { cost, maxWait, classify }) as Effect.Effect<A, E | Raises, R>
}

/** Whether a `dual` was called with the effect first. The first argument tells, since the others may be left out. */
export const isDataFirst = (args: ArrayLike<unknown>): boolean => Effect.isEffect(args[0])

/** A service that a layer builds: it ends with the scope. */
export const scoped = <S extends PolicyService>(make: Effect.Effect<S>): Effect.Effect<S, never, Scope.Scope> =>
  Effect.tap(make, ({ members }) => closing(members))

/** A service on the `Store` of the context. Until the scope closes, its spaces are open there with its policies. */
export const fromStore = <S extends PolicyService>(
  module: string,
  id: string,
  build: (store: StoreView) => S
): Effect.Effect<S, never, Store | Scope.Scope> =>
  Effect.flatMap(Store, (store) => {
    const service = build(openStore(store, id))
    const spaces = service.members.flatMap(({ spaces = [] }) => spaces)
    const opened = Effect.andThen(openServices.open(store, module, id, spaces), closing(service.members))
    return Effect.as(opened, service)
  })
