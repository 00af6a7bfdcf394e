// Redis: poisoned values, ACL, readonly replica, maxmemory, NOSCRIPT, BUSY, RESP2/3, key injection
import { NodeRedis } from "@effect/platform-node"
import { Cause, Effect, Layer, Exit, ManagedRuntime, Logger } from "effect"
import { CircuitBreaker, RateLimiter, Resilience, EventStream, Event } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
const tagOf = (exit:any)=> exit._tag==="Success"?"ok": (exit.cause.reasons[0]?.error?._tag ?? exit.cause.reasons[0]?._tag) + (exit.cause.reasons[0]?.error?.reason? ":"+exit.cause.reasons[0].error.reason:"")
const why = (exit:any)=> { if(exit._tag==="Success") return ""; const e=exit.cause.reasons[0]?.error ?? exit.cause.reasons[0]?.defect; let c:any=e; const out:string[]=[]; while(c){ out.push(String(c.message??c).slice(0,160)); c=c.cause } return out.filter(Boolean).at(-1) }
const app = (url:string, opts:any={}, more:any={}) => Effect.map(Layer.build(RedisStore.layer({prefix:"p", ...more}).pipe(Layer.provide(NodeRedis.layer({url, ...opts})))), c=>Layer.succeedContext(c)) as any
const svc = (name:string, pol:any) => Resilience.makeFromStore(name, { ...pol, store:{ onError:"fail", deadline:"800 millis" } } as any) as any
const main = Effect.gen(function*(){
  const r = yield* startRedis(["--lua-time-limit","100"])
  const live = yield* app(r.url)
  const run = (s:any,k:any,o?:any)=> Effect.exit(s.resilient(Effect.succeed(1),k,o)) as any
  const s:any = yield* Effect.provide(svc("s",{rateLimiter: RateLimiter.tokenBucket({limit:3,window:"1 hour"})}), live)
  yield* run(s,"ada")
  const key = r.command("KEYS","*ada*")
  console.log("key:", key, "value:", r.command("GET",key))
  const value = r.command("GET",key), head = value.split(" ").slice(0,3).join(" "), state = (words: string) => `${head} ${words}`, words = value.split(" ").slice(3)
  const poisons: Record<string, string[]> = {
    "WRONGTYPE list": ["RPUSH"], garbage: ["SET","garbage"], empty: ["SET",""], "future epoch": ["SET",value.replace("0 ","999999 ")], "words missing": ["SET",state("1")],
    "NaN": ["SET",state("nan nan nan nan")], "Infinity": ["SET",state("inf inf inf inf")], "negative": ["SET",state("-1e308 -1e308 -1 -1")], "huge debt": ["SET",state("1e308 1e308 1e308 1e308")], "future time": ["SET",state(`99999999999999 ${words.slice(1).join(" ")}`)], "hex": ["SET",state("0x10 0x10 0 0")], "trailing words": ["SET", value+" 7 7 7 7"],
    "10 MB of garbage": ["BIG"]
  }
  for (const [name,[cmd,v]] of Object.entries(poisons)) {
    r.command("DEL",key)
    if (cmd==="RPUSH") r.command("RPUSH",key,"x")
    else if (cmd==="BIG") r.command("EVAL","redis.call('SET',KEYS[1],'0 '..string.rep('7 ',5000000))","1",key)
    else r.command("SET",key,v!)
    const a:any[]=[]; for(let i=0;i<5;i++) a.push(yield* run(s,"ada"))
    const after=r.command("GET",key); const ins:any = yield* Effect.exit(s.inspect("ada"))
    console.log("poison", name.padEnd(18), a.map(tagOf).join(" "), "|", why(a[0]) ?? "", "| after:", after.slice(0,60), "| other key:", tagOf(yield* run(s,"bob"+name)), "| inspect:", tagOf(ins), ins._tag==="Success"?JSON.stringify(ins.value.rateLimiter).slice(0,90):why(ins))
    // can it be repaired by reset(key)?
    if (tagOf(a[4])!=="ok" && !tagOf(a[4]).startsWith("RateLimit")) { const e:any = yield* Effect.exit((s.reset ?? (()=>Effect.void))("ada")); console.log("    reset(key):", tagOf(e), why(e)); }
  }
  r.command("DEL",key)
  // one poisoned key among a batch
  r.command("SET",key,"garbage")
  const batch:any[] = yield* Effect.all(Array.from({length:32},(_,i)=>run(s, i===5?"ada":"u"+i)),{concurrency:"unbounded"}) as any
  console.log("batch of 32 with one poisoned:", JSON.stringify(batch.map(tagOf).reduce((m:any,x:string)=>(m[x]=(m[x]??0)+1,m),{})))
  const calls0 = /cmdstat_evalsha:calls=(\d+)/.exec(r.command("INFO","commandstats"))![1]
  yield* Effect.all(Array.from({length:320},(_,i)=>run(s, i%32===5?"ada":"u"+i)),{concurrency:"unbounded"}) as any
  const calls1 = /cmdstat_evalsha:calls=(\d+)/.exec(r.command("INFO","commandstats"))![1]
  console.log("320 calls at once, one poisoned in each 32: EVALSHA", Number(calls1)-Number(calls0), "(10 without poison)")
  // default onError local with one poisoned key: flips
  const events:any[]=[]
  const l:any = yield* Effect.provide(Resilience.makeFromStore("s",{rateLimiter: RateLimiter.tokenBucket({limit:3,window:"1 hour"})}) as any, live)
  yield* Effect.provideService(Effect.gen(function*(){ for(let i=0;i<20;i++){ yield* run(l,"ada"); yield* run(l,"zoe"+i) } }), Event.EventSink, ((e:any)=>{events.push(e)}) as any)
  console.log("default onError local: 20 calls to the poisoned key, 20 to others, in turns: StoreFlipped events", events.filter(e=>e._tag==="StoreFlipped").length)
  r.command("DEL",key)
  // SCRIPT FLUSH in traffic
  let bad=0; for(let i=0;i<20;i++){ r.command("SCRIPT","FLUSH"); if (tagOf(yield* run(s,"flush"+i))!=="ok") bad++ } console.log("SCRIPT FLUSH before each of 20 calls: failed", bad)
  // BUSY
  const { spawn } = yield* Effect.promise(()=>import("node:child_process"))
  const busy = spawn("redis-cli",["-p",String(r.port),"EVAL","while true do end","0"],{stdio:"ignore"})
  yield* pause(400)
  const b1=yield* run(s,"busy1"); console.log("BUSY:", tagOf(b1), why(b1))
  r.command("SCRIPT","KILL"); yield* pause(50); console.log("after SCRIPT KILL:", tagOf(yield* run(s,"busy2")))
  // CLIENT KILL
  r.command("CLIENT","KILL","TYPE","normal"); yield* pause(5)
  const k1=yield* run(s,"kill1"); yield* pause(600); console.log("CLIENT KILL: at once", tagOf(k1), "later", tagOf(yield* run(s,"kill2")))
  // RESP3
  for (const RESP of [2,3]) { const lv = yield* app(r.url,{RESP}); const x:any = yield* Effect.provide(svc("resp"+RESP,{rateLimiter: RateLimiter.every({a:RateLimiter.slidingLog({limit:2,window:"1 hour"}), b:RateLimiter.shared(RateLimiter.fixedWindow({limit:10,window:"1 hour"}))}), circuitBreaker: CircuitBreaker.policy({tripPolicy: CircuitBreaker.consecutive(2), openDuration:"1 hour"})}), lv)
    const o:any[]=[]; for(let i=0;i<3;i++) o.push(tagOf(yield* run(x,{a:"k"}))); console.log("RESP",RESP,o.join(" ")) }
  // maxmemory noeviction
  const mem = Number(/used_memory:(\d+)/.exec(r.command("INFO","memory"))![1])
  r.command("CONFIG","SET","maxmemory",String(mem+200_000)); r.command("CONFIG","SET","maxmemory-policy","noeviction")
  const ev:any = yield* Effect.provide(svc("ev",{rateLimiter: RateLimiter.every({a:RateLimiter.fixedWindow({limit:100,window:"1 hour"}), b:RateLimiter.fixedWindow({limit:100,window:"1 hour"})})}), live)
  let firstErr:any; let n=0
  for(;n<3000;n++){ const e:any=yield* run(ev,{a:"A".repeat(200)+n,b:"B".repeat(200)+n}); if(e._tag!=="Success"){ firstErr=e; break } }
  const a1 = r.command("EXISTS", ...r.command("KEYS","*"+"A".repeat(20)+"*"+n).split("\n").filter(Boolean), "zz"), b1x=r.command("KEYS","*"+"B".repeat(20)+"*"+n)
  console.log("noeviction full after", n, "calls:", tagOf(firstErr), why(firstErr), "| half written: a", a1, "b", b1x==="" ? 0 : 1)
  const c2=Number(/cmdstat_evalsha:calls=(\d+)/.exec(r.command("INFO","commandstats"))![1])
  yield* Effect.all(Array.from({length:320},(_,i)=>run(ev,{a:"n"+i,b:"n"+i})),{concurrency:"unbounded"}) as any
  console.log("full: 320 calls at once cost EVALSHA", Number(/cmdstat_evalsha:calls=(\d+)/.exec(r.command("INFO","commandstats"))![1])-c2)
  r.command("FLUSHALL"); console.log("room again:", tagOf(yield* run(ev,{a:"x",b:"x"})))
  // allkeys-lru evicts the "cleared" note: a reset is undone?
  r.command("CONFIG","SET","maxmemory","0"); r.command("FLUSHALL")
  const o:any = yield* Effect.provide(RateLimiter.makeFromStore(RateLimiter.tokenBucket({limit:2,window:"10 hours"})) as any, live)
  yield* o.allow("ada"); yield* o.allow("ada"); console.log("evicted epoch note: used up:", yield* o.allow("ada")); yield* o.reset(); console.log("  after reset():", JSON.stringify((yield* o.peek("ada")).remaining))
  const cl=r.command("KEYS","*cleared").split("\n"); console.log("  notes:", cl.length); r.command("DEL",...cl)
  console.log("  after the note was evicted: remaining", (yield* o.peek("ada")).remaining, "(the reset is undone)")
  // replica
  const rep = yield* startRedis(["--replicaof","127.0.0.1",String(r.port)])
  yield* pause(1500)
  const rl:any = yield* app(rep.url); const ro:any=yield* Effect.provide(svc("ro",{rateLimiter: RateLimiter.tokenBucket({limit:3,window:"1 hour"})}), rl)
  const e1=yield* run(ro,"x"); console.log("readonly replica:", tagOf(e1), why(e1), "inspect:", tagOf(yield* Effect.exit(ro.inspect("x"))))
})
await Effect.runPromise(Effect.scoped(main as any) as any).then(()=>process.exit(0), e=>{console.error(e);process.exit(1)})
