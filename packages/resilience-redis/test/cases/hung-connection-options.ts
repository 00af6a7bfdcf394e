// half-open: does RedisSentinel/own options help? and a control: bare server hang w/out traffic
import { Effect, Layer, Logger } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
import { connect, createServer, type Socket } from "node:net"
const tagOf = (exit:any)=> exit._tag==="Success"?"ok": (exit.cause.reasons[0]?.error?._tag ?? exit.cause.reasons[0]?._tag) + (exit.cause.reasons[0]?.error?.reason? ":"+exit.cause.reasons[0].error.reason:"")
const proxy = async (to:number) => { let all:any[]=[]; let conns=0; const server=createServer(c=>{ conns++; const u=connect(to,"127.0.0.1"); const p={dead:false}; all.push(p); c.on("data",d=>{ if(!p.dead) u.write(d) }); u.on("data",d=>{ if(!p.dead) c.write(d) }); c.on("error",()=>{}); u.on("error",()=>{}); c.on("close",()=>u.destroy()); u.on("close",()=>{ if(!p.dead) c.destroy() }) }); await new Promise<void>(r=>server.listen(0,"127.0.0.1",()=>r())); return { port:(server.address() as any).port, cut:()=>{ for(const p of all) p.dead=true; all=[] }, conns:()=>conns } }
const main = Effect.gen(function*(){
  const r = yield* startRedis([])
  // socketTimeout with NodeRedis.layer's default reconnectStrategy, traffic stops for a while: the client is closed for good
  for (const [n,opts] of [["socketTimeout 1000, default reconnectStrategy",{socket:{socketTimeout:1000}}]] as any) {
    const p=yield* Effect.promise(()=>proxy(r.port)); const live:any=yield* Effect.map(Layer.build(RedisStore.layerNode({prefix:"h"+p.port, url:`redis://127.0.0.1:${p.port}`,...opts})), c=>Layer.succeedContext(c))
    const s:any=yield* Effect.provide(Resilience.makeFromStore("h",{rateLimiter: RateLimiter.tokenBucket({limit:1e6,window:"1 second"}), store:{onError:"fail",deadline:"200 millis"}} as any) as any, live)
    const call=()=>Effect.map(Effect.exit(s.resilient(Effect.succeed(1),"k")),tagOf) as any
    yield* pause(500); const out=[yield* call()]; yield* pause(2500); out.push("| quiet for 2.5 s, nothing broken:", yield* call()); yield* pause(600); out.push(yield* call()); yield* pause(2000); out.push("| again quiet 2 s:", yield* call(), yield* call()); console.log(n, out.join(" "), "connections", p.conns()) }
})
Effect.runPromise(Effect.scoped(Effect.provide(main as any, Logger.layer([]))) as any).then(()=>process.exit(0), e=>{console.error(e);process.exit(1)})
