/** A policy of your own by the time of the day: it reads the wall clock. */
import { Clock } from "effect"
import { Policy, Rejection, Validate } from "effect-resilience"

export class Closed extends Rejection.Rejection {
  readonly _tag = "Closed"
  readonly policy = "openingHours"
  readonly reason = "closed"
}

// #region policy
interface OpeningHours extends Policy.Policy<Closed> {
  /** Hours of the day in UTC. */
  readonly options: { readonly from: number; readonly to: number }
}

const HOUR = 3_600_000

export const openingHours = (options: OpeningHours["options"]) =>
  Policy.make<OpeningHours>({
    kind: "openingHours",
    options,
    open({ service }) {
      const from = Validate.count(this.kind, "from", this.options.from, 0, 23)
      const to = Validate.count(this.kind, "to", this.options.to, from + 1, 24)
      return {
        kind: this.kind,
        stage: Policy.Stage.shed,
        enter(call) {
          let retryAfterMillis: number | undefined // what `check` decided, for `refusal`; `undefined` while it is open
          return {
            steps: [],
            check() {
              const clock = call.fiber.getRef(Clock.Clock)
              const inDay = clock.currentTimeMillisUnsafe() % (24 * HOUR) // not `now`: that is no time of the day
              const isOpen = inDay >= from * HOUR && inDay < to * HOUR
              retryAfterMillis = isOpen ? undefined : (from * HOUR - inDay + 24 * HOUR) % (24 * HOUR)
              return isOpen
            },
            refusal: () =>
              retryAfterMillis === undefined
                ? undefined
                : { error: new Closed({ service, key: call.name, retryAfterMillis }) },
            admitted() {}
          }
        }
      }
    }
  })
// #endregion
