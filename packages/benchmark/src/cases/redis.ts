/**
 * Admissions of one process at a Redis, 64 at once.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Resilience from "effect-resilience/Resilience"
import type { Store } from "effect-resilience/Store"
import * as RedisStore from "effect-resilience-redis/RedisStore"
import { RateLimiterRedis, RateLimiterUnion } from "rate-limiter-flexible"
import { figureOf, OURS, YARDSTICK } from "../compare.ts"
import { around, makeKeys } from "../keys.ts"
import type { Case, Effort, Line, Result } from "../model.ts"
import { failures, key, limit, windowMillis } from "../peers/numbers.ts"
import { circuitBreaker, tokenBucket } from "../peers/ours.ts"
import { makeBreaker } from "../peers/promises.ts"
import { seeded, shuffle } from "../random.ts"
import { type Client, connect, needsRedis, type RedisServer, startRedis } from "../redisServer.ts"
import { type Contestant, sample, samplingOf } from "../sample.ts"

const AT_ONCE = 64
/** Of a batch: 64 for each of those at once, so that the first and the last, which wait for less, count little. */
const CALLS = 4_096

const PEER = "rate-limiter-flexible"
const RAW = `${YARDSTICK}the same scripts, raw EVALSHA`

const lines = Array.from({ length: AT_ONCE }, (_, i) => i)

/** As many fibers at once, each with one call after the other. */
const inFibers = (name: string, call: () => Effect.Effect<boolean, unknown>): Contestant => ({
  name,
  calls: CALLS,
  batch: async (calls) => {
    let wrong = 0
    const line = (first: number) => {
      let i = first - AT_ONCE
      return Effect.whileLoop({
        while: () => (i += AT_ONCE) < calls,
        body: call,
        step: (right) => {
          if (!right) wrong++
        }
      })
    }
    await Effect.runPromise(Effect.forEach(lines, line, { concurrency: "unbounded", discard: true }))
    if (wrong > 0) throw new Error(`${name}: ${wrong} wrong outcomes`)
  }
})

const inPromises = (name: string, call: () => Promise<boolean>): Contestant => ({
  name,
  calls: CALLS,
  batch: async (calls) => {
    let wrong = 0
    const line = async (first: number) => {
      for (let i = first; i < calls; i += AT_ONCE) if (!(await call())) wrong++
    }
    await Promise.all(lines.map(line))
    if (wrong > 0) throw new Error(`${name}: ${wrong} wrong outcomes`)
  }
})

interface Ours {
  /** The store, for what is made on it, and the scope that it has. */
  readonly store: Context.Context<Store | Scope.Scope>
  readonly client: NodeRedis.NodeRedis["Service"]["client"]
}

const storeOn = async ({ url }: RedisServer): Promise<Ours> => {
  const scope = Effect.runSync(Scope.make())
  const live = Layer.provideMerge(RedisStore.layer({ prefix: "bench" }), NodeRedis.layer({ url }))
  const context = await Effect.runPromise(Layer.buildWithScope(live, scope))
  return { store: Context.add(context, Scope.Scope, scope), client: Context.get(context, NodeRedis.NodeRedis).client }
}

const outage = { onError: "fail", deadline: "1 minute" } as const // a slow machine is no outage here

const limiterOn = async ({ store }: Ours, id: string, policy: RateLimiter.Limit) => {
  const made = Resilience.makeFromStore(id, { rateLimiter: policy, store: outage })
  return (await Effect.runPromise(Effect.provideContext(made, store))).resilient
}

/** What rate-limiter-flexible is made with, on a connection of its own. */
const theirsOn = async ({ url }: RedisServer) => ({
  storeClient: await connect(url),
  useRedisPackage: true,
  points: limit,
  duration: windowMillis / 1_000
})

/** The commands that a call sends. */
const sentBy = async ({ client }: Ours, call: Effect.Effect<unknown, unknown>): Promise<Array<Array<string>>> => {
  await Effect.runPromise(call) // Redis learns the scripts
  const sent: Array<Array<string>> = []
  const { sendCommand } = client
  client.sendCommand = ((args: Array<string>) => {
    sent.push([...args])
    return sendCommand.call(client, args)
  }) as typeof sendCommand // of the arguments, effect's service gives the first
  await Effect.runPromise(call)
  client.sendCommand = sendCommand
  if (sent.length === 0 || sent.some(([name]) => name !== "EVALSHA")) throw new Error(`sent ${JSON.stringify(sent)}`)
  return sent
}

const raw = (client: Client, commands: ReadonlyArray<Array<string>>): Contestant =>
  inPromises(RAW, async () => {
    let right = true
    for (const command of commands) {
      const reply = await client.sendCommand(command)
      right &&= Array.isArray(reply) && reply[1] === "1"
    }
    return right
  })

/** How many trips a call of each makes, by the server's count of scripts. */
const tripsOf = async (server: RedisServer, contestants: ReadonlyArray<Contestant>) => {
  const trips = new Map<string, number>()
  for (const { batch, name } of contestants) {
    const before = await server.scripts()
    await batch(CALLS)
    trips.set(name, ((await server.scripts()) - before) / CALLS)
  }
  return (name: string) => ({ name, value: trips.get(name)! })
}

const compareAt = async (
  server: RedisServer,
  title: string,
  effort: Effort,
  contestants: ReadonlyArray<Contestant>,
  bars: Readonly<Record<string, number>>
): Promise<ReadonlyArray<Result>> => {
  const sampling = { ...samplingOf(effort), samples: effort.short ? 8 : 40 }
  const figures = await sample(contestants, sampling)
  const trips = await tripsOf(server, contestants)
  const others = contestants.map(({ name }) => name).filter((name) => name !== OURS)
  const times = others.map((name): Line => ({
    ours: figureOf(figures, OURS),
    unit: "ns",
    theirs: figureOf(figures, name),
    bar: bars[name]
  }))
  return [
    { title: `Redis, ${AT_ONCE} at once: ${title}`, lines: times },
    {
      title: `Redis, trips of a call: ${title}`,
      lines: [{ ours: trips(OURS), unit: "trips", theirs: trips(PEER) }]
    }
  ]
}

const MISSING_A_SEVENTH = 1 / 0.85
const yes = Effect.succeed(true)
const fixedWindow = RateLimiter.fixedWindow({ limit, window: windowMillis })

export const redisOne: Case = needsRedis({
  id: "redis-one-limit",
  onlyFull: true,
  run: async (effort) => {
    const server = await startRedis()
    const ours = await storeOn(server)
    const window = await limiterOn(ours, "bench/window", fixedWindow)
    const bucket = await limiterOn(ours, "bench/bucket", tokenBucket())
    const client = await connect(server.url)
    const theirs = new RateLimiterRedis(await theirsOn(server))
    const commands = await sentBy(ours, window(yes, key))
    return compareAt(
      server,
      "one limit, `fixedWindow`",
      effort,
      [
        inFibers(OURS, () => window(yes, key)),
        inPromises(PEER, async () => (await theirs.consume(key)).remainingPoints > 0),
        raw(client, commands),
        inFibers("effect-resilience, `tokenBucket`", () => bucket(yes, key))
      ],
      { [PEER]: 1, [RAW]: MISSING_A_SEVENTH }
    )
  }
})

const USERS = 1_000

/** As a limit for each user has it: hardly two calls of one moment ask for the same key. */
export const redisUsers: Case = needsRedis({
  id: "redis-many-users",
  onlyFull: true,
  run: async (effort) => {
    const server = await startRedis()
    const window = await limiterOn(await storeOn(server), "bench/users", fixedWindow)
    const theirs = new RateLimiterRedis(await theirsOn(server))
    const next = around(shuffle(makeKeys(USERS), seeded(1)))
    return compareAt(
      server,
      `one limit, \`fixedWindow\`, ${USERS.toLocaleString("en-US")} users`,
      effort,
      [
        inFibers(OURS, () => window(yes, next())),
        inPromises(PEER, async () => (await theirs.consume(next())).remainingPoints > 0)
      ],
      { [PEER]: 1 }
    )
  }
})

export const redisThree: Case = needsRedis({
  id: "redis-three-limits",
  onlyFull: true,
  run: async (effort) => {
    const server = await startRedis()
    const ours = await storeOn(server)
    const made = Resilience.makeFromStore("bench/three", {
      rateLimiter: RateLimiter.every({ user: fixedWindow, tenant: fixedWindow, all: RateLimiter.shared(fixedWindow) }),
      circuitBreaker: circuitBreaker(),
      store: outage
    })
    const { resilient } = await Effect.runPromise(Effect.provideContext(made, ours.store))
    const call = () => resilient(yes, { user: key, tenant: "tenant:1" })
    const client = await connect(server.url)
    const options = await theirsOn(server)
    const union = new RateLimiterUnion(
      ...["user", "tenant", "all"].map((keyPrefix) => new RateLimiterRedis({ ...options, keyPrefix }))
    )
    const breaker = makeBreaker()
    const commands = await sentBy(ours, call())
    return compareAt(
      server,
      `three limits with \`every\` and a breaker of ${failures} failures, against three and cockatiel's in memory`,
      effort,
      [
        inFibers(OURS, call),
        inPromises(PEER, async () => {
          const taken = await union.consume(key)
          return breaker.execute(() => Object.values(taken).every(({ remainingPoints }) => remainingPoints > 0))
        }),
        raw(client, commands)
      ],
      { [PEER]: 0.5, [RAW]: MISSING_A_SEVENTH }
    )
  }
})

const TENTH = 0.1
const ONE_BY_ONE = 1_024

/** The same limit, one call after the other: at once they would share trips without a lease, too. */
export const redisLeased: Case = needsRedis({
  id: "redis-leased",
  onlyFull: true,
  run: async (effort) => {
    const server = await startRedis()
    const ours = await storeOn(server)
    const leased = await limiterOn(
      ours,
      "bench/leased",
      RateLimiter.tokenBucket({ limit, window: windowMillis, lease: { duration: "1 second", share: 500 } })
    )
    const plain = await limiterOn(ours, "bench/plain", tokenBucket())
    const oneByOne = (name: string, call: () => Effect.Effect<boolean, unknown>): Contestant => ({
      name,
      calls: ONE_BY_ONE,
      batch: async (calls) => {
        for (let i = 0; i < calls; i++) if (!(await Effect.runPromise(call()))) throw new Error(`${name}: refused`)
      }
    })
    const without = `${OURS}, without a lease`
    const contestants = [oneByOne(OURS, () => leased(yes, key)), oneByOne(without, () => plain(yes, key))]
    const figures = await sample(contestants, { ...samplingOf(effort), samples: effort.short ? 8 : 40 })
    const trips = await tripsOf(server, contestants)
    return [
      {
        title: "Redis, one after the other: a leased `tokenBucket`",
        lines: [{ ours: figureOf(figures, OURS), unit: "ns", theirs: figureOf(figures, without) }]
      },
      {
        title: "Redis, trips of a call: a leased `tokenBucket`",
        lines: [{ ours: trips(OURS), unit: "trips", theirs: trips(without), bar: TENTH }]
      }
    ]
  }
})

/** A token is away for an hour, so that keys stay in use. */
const slow = tokenBucket({ limit: 1_000, windowMillis: 3_600_000_000 })

/** Two servers, one with few keys and one with many, that are asked in turns. */
export const redisKeys: Case = needsRedis({
  id: "redis-many-keys",
  onlyFull: true,
  run: async (effort) => {
    const sizes = effort.short ? [1_000, 100_000] : [1_000, 10_000, 100_000, 1_000_000]
    const contestants: Array<Contestant> = []
    const weights: Array<Line> = []
    for (const size of sizes) {
      const server = await startRedis()
      const call = await limiterOn(await storeOn(server), "bench/keys", slow)
      const next = around(shuffle(makeKeys(size), seeded(1)))
      const contestant = inFibers(`${size.toLocaleString("en-US")} keys`, () => call(yes, next()))
      const before = await server.usedMemory()
      await contestant.batch(size)
      const bytes = ((await server.usedMemory()) - before) / size
      if (size === sizes.at(-1)) weights.push({ ours: { name: OURS, value: bytes }, unit: "bytes" })
      contestants.push(contestant)
    }
    const figures = await sample(contestants, { ...samplingOf(effort), samples: effort.short ? 8 : 40 })
    const names = contestants.map(({ name }) => name)
    const most = names.at(-1)!
    const growth = names.slice(0, -1).map((name): Line => ({
      ours: figureOf(figures, most),
      unit: "ns",
      theirs: { ...figureOf(figures, name), name: `${OURS}, ${name}` }
    }))
    return [
      { title: `Redis, ${AT_ONCE} at once: one \`tokenBucket\`, ${most}`, lines: growth },
      { title: `Redis: memory of a live key, \`tokenBucket\`, tables included`, lines: weights }
    ]
  }
})
