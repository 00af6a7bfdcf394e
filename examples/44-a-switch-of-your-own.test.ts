/** A switch of your own in a service, and the laws that it keeps: switched off, since one that is on refuses nothing. */
// #region imports
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Resilience } from "effect-resilience"
import { PolicyLaws } from "effect-resilience-testing"
import { onOff, SwitchedOff } from "./44-a-switch-of-your-own.ts"
// #endregion

// #region service
class Mail extends Resilience.Service<Mail>()("app/Mail", {
  policies: { outgoing: onOff({ on: true }) } // "outgoing" is the label
}) {}
// #endregion

it.effect("an operator turns it off", () =>
  // #region use
  Effect.gen(function* () {
    const send = Mail.resilient(Effect.succeed("sent"), "ada") // Effect<string, SwitchedOff, Mail>
    assert.strictEqual(yield* send, "sent")

    const { control } = yield* Mail
    control.outgoing.set(false)
    const refused = yield* Effect.flip(send)
    assert.instanceOf(refused, SwitchedOff)
    assert.strictEqual(refused.message, "switch refused ada (off)")
    assert.deepStrictEqual((yield* Mail.inspect("ada")).outgoing, { on: false })
  })
    // #endregion
    .pipe(Effect.provide(Mail.layer))
)

// #region laws
for (const { check, name } of PolicyLaws.laws({ policies: { policies: { off: onOff({ on: false }) } } }))
  it.effect(name, () => check)
// #endregion

const on = PolicyLaws.laws({ policies: { policies: { on: onOff({ on: true }) } }, neverRefuse: ["on"], effort: 0.3 })
for (const { check, name } of on) it.effect(`switched on: ${name}`, () => check)
