/** A policy of your own that keeps nothing in a store: a switch that an operator turns. */
import { Effect } from "effect"
import { Policy, Rejection } from "effect-resilience"

export class SwitchedOff extends Rejection.Rejection {
  readonly _tag = "SwitchedOff"
  readonly policy = "switch"
  readonly reason = "off"
}

interface Control {
  readonly set: (on: boolean) => void
}

interface Switch extends Policy.Policy<SwitchedOff, unknown, never, { readonly on: boolean }, Control> {
  readonly options: { readonly on: boolean }
}

export const onOff = (options: Switch["options"]) =>
  Policy.make<Switch>({
    kind: "switch",
    options,
    open({ service }) {
      let { on } = this.options
      return {
        kind: this.kind,
        stage: Policy.Stage.shed,
        enter(call) {
          let passes = true // what `check` decided, for `refusal`
          return {
            steps: [], // it asks nothing of the store
            check: () => (passes = on),
            refusal: () => (passes ? undefined : { error: new SwitchedOff({ service, key: call.name }) }),
            admitted() {}
          }
        },
        inspect: () => Effect.sync(() => ({ on })),
        control: { set: (to: boolean) => void (on = to) }
      }
    }
  })
