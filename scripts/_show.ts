import { build } from "esbuild"
const root = process.cwd()
const r = await build({
  stdin: {
    contents: `import { assemble } from "${root}/packages/resilience/src/engine/assemble.ts"\nimport { run } from "${root}/packages/resilience/src/engine/run.ts"\nglobalThis.part = [assemble, run]`,
    resolveDir: root + "/examples",
    loader: "ts"
  },
  bundle: true,
  minifySyntax: true,
  external: ["effect/*"],
  format: "esm",
  platform: "neutral",
  conditions: ["effect-resilience-source", "import"],
  write: false
})
console.log(r.outputFiles[0]!.text)
