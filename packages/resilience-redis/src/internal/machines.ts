/**
 * Whether keys lie on several machines. Where they do not, one trip may ask for any of them.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Redis from "effect/persistence/Redis"

type Known = "no" | "asked" | "yes"

export class Machines {
  /** Until it is known, keys are taken to be spread: that is right everywhere. */
  areSeveral: boolean
  private known: Known

  constructor(sharded: boolean | undefined) {
    this.areSeveral = sharded ?? true
    this.known = sharded === undefined ? "no" : "yes"
  }

  /** A server answers: now it can be asked. Who may not ask, as some providers have it, keeps to what is right everywhere. */
  answered(redis: Redis.Redis["Service"], fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>): void {
    if (this.known !== "no") return
    this.known = "asked"
    fork(
      Effect.match(redis.send<string>("INFO", "server"), {
        onFailure: ({ cause }) => {
          this.known = /NOPERM|unknown command/i.test(String(cause)) ? "yes" : "no"
        },
        onSuccess: (info) => {
          // Valkey has its own name for it
          if (this.known === "asked") this.areSeveral = !/^(?:redis|server)_mode:standalone/m.test(String(info))
          this.known = "yes"
        }
      })
    )
  }

  /** The server itself found keys of one trip on several machines. */
  found(): void {
    this.areSeveral = true
    this.known = "yes"
  }
}
