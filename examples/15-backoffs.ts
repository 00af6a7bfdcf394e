/** How long each backoff may wait after the first, second, third attempt and so on. */
import { Backoff } from "effect-resilience"

const backoffs = {
  "exponential, full": Backoff.exponential({ base: "1 second", cap: "10 seconds" }),
  "exponential, equal": Backoff.exponential({ base: "1 second", cap: "10 seconds", jitter: "equal" }),
  "exponential, none": Backoff.exponential({ base: "1 second", cap: "10 seconds", jitter: "none" }),
  "linear, none": Backoff.linear({ base: "1 second", jitter: "none" }),
  "fibonacci, none": Backoff.fibonacci({ base: "1 second", jitter: "none" }),
  decorrelated: Backoff.decorrelated({ base: "1 second", cap: "10 seconds" }),
  constant: Backoff.constant("1 second")
}

for (const [name, backoff] of Object.entries(backoffs)) {
  const ranges = [1, 2, 3, 4, 5].map((attempt) => {
    const [low, high] = Backoff.range(backoff, attempt).map((millis) => millis / 1000)
    return (low === high ? `${high} s` : `${low}-${high} s`).padStart(8)
  })
  console.log(name.padEnd(18), ...ranges)
}
