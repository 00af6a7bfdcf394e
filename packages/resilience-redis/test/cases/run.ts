/**
 * Runs a case of `../shared/cases/redis` on the layout and the connections of today.
 */
import { type Cases, type Edit, runCase } from "../../../../scripts/editedCase.ts"

/** What `prefix` was before it had to be said. */
const prefix: Edit = {
  why: "a prefix is required",
  from: "RedisStore.layer()",
  to: 'RedisStore.layer({ prefix: "resilience" })'
}
const watched = (from: string, rest: string): Edit => ({
  why: "WATCH=1 watches the client of NodeRedis; a prefix is required",
  from,
  to: `RedisStore.layer({${rest}, ...(process.env["WATCH"] ? {foreign:"watch"} : {})})`
})
/** The layer does not wait for its connection. */
const pauseBefore = (from: string): Edit => ({
  why: "the connection is made meanwhile",
  from,
  to: `yield* pause(500); ${from}`
})
/** A store on a connection of its own, in place of one on a client of NodeRedis. */
const own = (from: string, to: string): Edit => ({ why: "a connection of its own", from, to })

const named = "RedisStore.layer().pipe(Layer.provide(Layer.orDie(NodeRedis.layer({ url: server.url }))))"
const onPort =
  "RedisStore.layer().pipe(Layer.provide(Layer.orDie(NodeRedis.layer({ url: `redis://127.0.0.1:${port}` }))))"
const byUrl =
  'RedisStore.layer({prefix:"h"+p.port}).pipe(Layer.provide(NodeRedis.layer({url, disableOfflineQueue:true, ...opts})))'
const byProxy =
  'RedisStore.layer({prefix:"h"+p.port}).pipe(Layer.provide(NodeRedis.layer({url:`redis://127.0.0.1:${p.port}`,disableOfflineQueue:true,...opts})))'
const strategy = "an own reconnectStrategy is refused: the layer connects again by itself"
/** A damage that is made of the value which the layout of today wrote: its head, and other words behind it. */
const poison = (from: string, to: string): Edit => ({ why: "made of the value of today", from, to })

const cases: Cases = {
  "charged-twice": [
    "charged-twice",
    [
      own(named, 'RedisStore.layerNode({ prefix: "resilience", url: server.url })'),
      pauseBefore("for (let i = 0; i < 5; i++) yield* s.resilient(")
    ]
  ],
  "charged-twice-foreign": ["charged-twice", [prefix]],
  "demoted-master": [
    "demoted-master",
    [
      own(onPort, 'RedisStore.layerNode({ prefix: "resilience", url: `redis://127.0.0.1:${port}` })'),
      pauseBefore('console.log("before:", yield* call)')
    ]
  ],
  "demoted-master-foreign": ["demoted-master", [watched("RedisStore.layer()", ' prefix: "resilience"')]],
  "hung-connection": [
    "hung-connection",
    [
      own(byUrl, 'RedisStore.layerNode({prefix:"h"+p.port, url, ...opts})'),
      {
        why: strategy,
        from: ',["pingInterval+socketTimeout+own reconnectStrategy",{pingInterval:1000, socket:{socketTimeout:3000, reconnectStrategy:()=>100}}]',
        to: ""
      }
    ]
  ],
  "hung-connection-foreign": [
    "hung-connection",
    [watched('RedisStore.layer({prefix:"h"+p.port})', 'prefix:"h"+p.port')]
  ],
  "hung-connection-options": [
    "hung-connection-options",
    [
      own(byProxy, 'RedisStore.layerNode({prefix:"h"+p.port, url:`redis://127.0.0.1:${p.port}`,...opts})'),
      {
        why: strategy,
        from: ',["socketTimeout 1000, reconnectStrategy 100 ms",{socket:{socketTimeout:1000,reconnectStrategy:()=>100}}]',
        to: ""
      },
      pauseBefore("const out=[yield* call()]")
    ]
  ],
  "hung-connection-options-foreign": [
    "hung-connection-options",
    [watched('RedisStore.layer({prefix:"h"+p.port})', 'prefix:"h"+p.port')]
  ],
  "closing-while-hung": [
    "long-keys",
    [
      own(
        'RedisStore.layer({prefix:"p", ...more}).pipe(Layer.provide(NodeRedis.layer({url, ...opts})))',
        'RedisStore.layerNode({prefix:"p", ...more, url})'
      ),
      { why: "the last part alone", from: "  let n=0\n", until: "  // closing while the server hangs", to: "" },
      {
        why: "the two calls are printed",
        from: 'yield* run(s,"a"); yield* r.suspend; yield* run(s,"a");',
        to: 'yield* pause(500); console.log("before:", tagOf(yield* run(s,"a"))); yield* r.suspend; console.log("hung:", tagOf(yield* run(s,"a")));'
      }
    ]
  ],
  "damaged-values": [
    "damaged-values",
    [
      {
        why: "the head and the words of the value of today",
        from: 'console.log("key:", key, "value:", r.command("GET",key))',
        to: 'console.log("key:", key, "value:", r.command("GET",key))\n  const value = r.command("GET",key), head = value.split(" ").slice(0,3).join(" "), state = (words: string) => `${head} ${words}`, words = value.split(" ").slice(3)'
      },
      poison('["SET","999999 0 0 0 0"]', '["SET",value.replace("0 ","999999 ")]'),
      poison('["SET","0 1"]', '["SET",state("1")]'),
      poison('["SET","0 nan nan nan nan"]', '["SET",state("nan nan nan nan")]'),
      poison('["SET","0 inf inf inf inf"]', '["SET",state("inf inf inf inf")]'),
      poison('["SET","0 -1e308 -1e308 -1 -1"]', '["SET",state("-1e308 -1e308 -1 -1")]'),
      poison('["SET","0 1e308 1e308 1e308 1e308"]', '["SET",state("1e308 1e308 1e308 1e308")]'),
      poison('["SET","0 99999999999999 1 0 0"]', '["SET",state(`99999999999999 ${words.slice(1).join(" ")}`)]'),
      poison('["SET","0 0x10 0x10 0 0"]', '["SET",state("0x10 0x10 0 0")]')
    ]
  ],
  "policy-changes": [
    "policy-changes",
    [
      {
        why: "a layer that is provided to one effect is closed after it: here, both limiters stay open",
        from: "    const search = yield*",
        until: "  }\n})\nEffect.runPromise",
        to: `    const open = (policy: RateLimiter.Policy) => Effect.exit(Layer.build(Layer.provide(RateLimiter.layerFromStore(policy), storeA)))
    const words = (exit: { readonly _tag: string }) => exit._tag === "Success" ? "is open" : String(exit)
    console.log("4 search (1000/min):", words(yield* open(RateLimiter.tokenBucket({ limit: 1000, window: "1 minute" }))))
    console.log("4 login (5/h) beside it:", words(yield* open(RateLimiter.tokenBucket({ limit: 5, window: "1 hour" }))))
`
      }
    ]
  ],
  "clock-ahead": [
    "clock-ahead",
    [
      ...["token-bucket", "fixed-window", "sliding-window", "sliding-log"].map((id) => ({
        why: "the ids of today",
        from: `"${id}@1": [`,
        to: `"${id}@2": [`
      })),
      {
        why: "every time of 13 digits is moved, also those of an entry's head",
        from: 'value.split(" ").map((w, i) => (/^1\\d{12}$/.test(w) ? String(Number(w) + ahead) : w)).join(" ")',
        to: "value.replaceAll(/\\b1\\d{12}\\b/g, (w: string) => String(Number(w) + ahead))"
      }
    ]
  ]
}

runCase("redis", cases, ["common.ts"])
