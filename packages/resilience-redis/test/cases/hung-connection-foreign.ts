// half-open connections, slow server, memory while nobody answers
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer, Fiber } from "effect"
import { RateLimiter, Resilience, Event } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
import { connect, createServer, type Socket } from "node:net"
const tagOf = (exit:any)=> exit._tag==="Success"?"ok": (exit.cause.reasons[0]?.error?._tag ?? exit.cause.reasons[0]?._tag) + (exit.cause.reasons[0]?.error?.reason? ":"+exit.cause.reasons[0].error.reason:"")
// black-holes the connections that exist when `cut` is called; new ones work
const proxy = async (to:number) => { let all:{c:Socket,u:Socket,dead:boolean}[]=[]; let conns=0; const server=createServer(c=>{ conns++; const u=connect(to,"127.0.0.1"); const p={c,u,dead:false}; all.push(p); c.on("data",d=>{ if(!p.dead) u.write(d) }); u.on("data",d=>{ if(!p.dead) c.write(d) }); c.on("error",()=>{}); u.on("error",()=>{}); c.on("close",()=>{ u.destroy() }); u.on("close",()=>{ if(!p.dead) c.destroy() }) }); await new Promise<void>(r=>server.listen(0,"127.0.0.1",()=>r())); return { port:(server.address() as any).port, cut:()=>{ for(const p of all) p.dead=true; all=[] }, conns:()=>conns } }
const gc=async()=>{ for(let i=0;i<3;i++){ (globalThis as any).gc(); await new Promise(r=>setTimeout(r,20)) } return process.memoryUsage() }
const main = Effect.gen(function*(){
  const r = yield* startRedis([])
  for (const [name,opts] of [["default",{}],["socket.socketTimeout: 2000",{socket:{socketTimeout:2000}}],["pingInterval: 1000",{pingInterval:1000}],["pingInterval 1000 + socketTimeout 3000",{pingInterval:1000, socket:{socketTimeout:3000}}],["pingInterval+socketTimeout+own reconnectStrategy",{pingInterval:1000, socket:{socketTimeout:3000, reconnectStrategy:()=>100}}]] as any) {
    const p = yield* Effect.promise(()=>proxy(r.port))
    const url=`redis://127.0.0.1:${p.port}`
    const live:any = yield* Effect.map(Layer.build(RedisStore.layer({prefix:"h"+p.port, ...(process.env["WATCH"] ? {foreign:"watch"} : {})}).pipe(Layer.provide(NodeRedis.layer({url, disableOfflineQueue:true, ...opts})))), c=>Layer.succeedContext(c))
    const s:any = yield* Effect.provide(Resilience.makeFromStore("h",{rateLimiter: RateLimiter.tokenBucket({limit:1_000_000,window:"1 second"}), store:{onError:"fail", deadline:"200 millis"}} as any) as any, live)
    const call=()=>Effect.exit(s.resilient(Effect.succeed(1),"k")) as any
    yield* call(); yield* pause(100); const before = tagOf(yield* call())
    p.cut()
    const t0=Date.now(); let back=-1; const seen:Record<string,number>={}
    while(Date.now()-t0<8000){ const t=tagOf(yield* call()); seen[t]=(seen[t]??0)+1; if(t==="ok"){ back=Date.now()-t0; break } yield* pause(50) }
    console.log("half-open:", name, "| before", before, "| back after", back<0?"NOT within 8 s":back+" ms", JSON.stringify(seen), "connections", p.conns())
    if (name==="default") {
      const m0:any=yield* Effect.promise(gc)
      const N=20000
      for(let b=0;b<N/1000;b++){ yield* Effect.all(Array.from({length:1000},(_,i)=>Effect.exit(s.resilient(Effect.void,`user-${b}-${i}`))),{concurrency:"unbounded"}) }
      const m1:any=yield* Effect.promise(gc)
      console.log(`  ${N} calls into the half-open connection, all ended by their deadline: heap +${((m1.heapUsed-m0.heapUsed)/2**20).toFixed(1)} MB, external +${((m1.external-m0.external)/2**20).toFixed(1)} MB, rss +${((m1.rss-m0.rss)/2**20).toFixed(0)} MB = ${(((m1.heapUsed+m1.external)-(m0.heapUsed+m0.external))/N).toFixed(0)} B per call kept`)
      // short keys one at a time
      yield* Effect.promise(async()=>{})
    }
  }
})
await Effect.runPromise(Effect.scoped(main as any) as any).then(()=>process.exit(0), e=>{console.error(e);process.exit(1)})
