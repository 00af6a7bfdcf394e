/** Two services of one upstream share a budget of retries: when every call fails, they stop repeating. */
import { Effect, Layer } from "effect"
import { Backoff, Resilience, Retry, RetryBudget } from "effect-resilience"

class ShopBudget extends RetryBudget.Service<ShopBudget>()("app/ShopBudget", { capacity: 100 }) {}

const retry = Retry.policy({ budget: ShopBudget, backoff: Backoff.constant("1 millis") })
class Orders extends Resilience.Service<Orders>()("app/Orders", { retry }) {}
class Prices extends Resilience.Service<Prices>()("app/Prices", { retry }) {}

let requests = 0
const down = Effect.suspend(() => Effect.fail(`503 to request ${++requests}`))
const left = Effect.map(ShopBudget.inspect, ({ balance }) => `${balance} left`)

const program = Effect.gen(function* () {
  for (let i = 0; i < 3; i++) {
    console.log("orders:", yield* Effect.flip(Orders.resilient(down, "ada")), "|", yield* left)
    console.log("prices:", yield* Effect.flip(Prices.resilient(down, "ada")), "|", yield* left)
  }
  for (let i = 0; i < 20; i++) yield* Orders.resilient(Effect.void, "ada")
  console.log("twenty successes later:", yield* left)
})

const Live = Layer.mergeAll(Orders.layer, Prices.layer).pipe(Layer.provideMerge(ShopBudget.layer))
program.pipe(Effect.provide(Live), Effect.runPromise)
