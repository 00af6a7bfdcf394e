import { Effect, Layer, Scope, Exit } from "effect"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
const tagOf = (exit:any)=> exit._tag==="Success"?"ok": (exit.cause.reasons[0]?.error?._tag ?? exit.cause.reasons[0]?._tag) + (exit.cause.reasons[0]?.error?.reason? ":"+exit.cause.reasons[0].error.reason:"")
const why = (exit:any)=> { if(exit._tag==="Success") return ""; const e=exit.cause.reasons[0]?.error ?? exit.cause.reasons[0]?.defect; let c:any=e; const out:string[]=[]; while(c){ out.push(String(c.message??c).slice(0,200)); c=c.cause } return out.filter(Boolean).at(-1) }
const app = (url:string, opts:any={}, more:any={}) => Effect.map(Layer.build(RedisStore.layerNode({prefix:"p", ...more, url})), c=>Layer.succeedContext(c)) as any
const svc = (name:string, pol:any) => Resilience.makeFromStore(name, { ...pol, store:{ onError:"fail", deadline:"800 millis" } } as any) as any
const lim = (p:any, live:any) => Effect.provide(RateLimiter.RateLimiter, Layer.provide(RateLimiter.layerFromStore(p), live)) as any
const run = (s:any,k:any,o?:any)=> Effect.exit(s.resilient(Effect.succeed(1),k,o)) as any
const gc=async()=>{ for(let i=0;i<3;i++){ (globalThis as any).gc(); await new Promise(r=>setTimeout(r,20)) } return process.memoryUsage() }
const main = Effect.gen(function*(){
  const r = yield* startRedis([])
  // closing while the server hangs
  { const scope=yield* Scope.make(); const live:any=yield* Effect.provideService(app(r.url,{}), Scope.Scope, scope); const s:any=yield* Effect.provide(svc("close",{rateLimiter: RateLimiter.tokenBucket({limit:5,window:"1 hour"})}), live); yield* pause(500); console.log("before:", tagOf(yield* run(s,"a"))); yield* r.suspend; console.log("hung:", tagOf(yield* run(s,"a"))); const t=Date.now(); const e:any=yield* Effect.timeoutOption(Effect.exit(Scope.close(scope, Exit.void)), "6 seconds"); console.log("scope closed while the server hangs with a command sent:", e._tag==="None"?"NOT closed within 6 s":`${Date.now()-t} ms`); yield* r.resume }
})
await Effect.runPromise(Effect.scoped(main as any) as any).then(()=>process.exit(0), e=>{console.error(e);process.exit(1)})
