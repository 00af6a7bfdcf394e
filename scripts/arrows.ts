/**
 * Fails when an import arrow of design.md, section 8, is broken: `node scripts/arrows.ts`.
 *
 *     satellites -> Resilience -> policy modules -> Store -> kernel
 *
 * `places` gives every file of `packages/resilience/src` its place; `arrows` says which places a place may import. A
 * file without a place is an error, so a new module has to say where it stands.
 *
 * Type-only imports (`import type`, `import("...")` in a type) count as imports: a module that knows another's types knows
 * the module. They are free of one rule, `weight`, since they are erased. `import { type A }` is not type-only: TypeScript
 * leaves `import {}` behind.
 */
import { globSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { parseSync, Visitor } from "oxc-parser"
import { fail, isMain, root } from "./lib.ts"

export interface Violation {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly message: string
}

/** First match wins. A policy is one file, or one file and a folder of its name. */
const places: ReadonlyArray<readonly [place: string, files: RegExp]> = [
  ["index", /^index\.ts$/],
  ["kernel", /^kernel\//],
  ["values", /^(Rejection|Outcome|Event|Validate)\.ts$|^rejection\//],
  ["StoreModel", /^StoreModel\.ts$/],
  ["Store", /^Store\.ts$/],
  ["memory", /^(MemoryStore\.ts|internal\/memory)/],
  ["waiting", /^waiting\//],
  ["Policy", /^Policy\.ts$|^policy\//],
  ["engine", /^engine\//], // runs one call through members, and knows no policy
  ["remote", /^(RemoteStore\.ts|remote\/)/], // a store that may fail: what `store.onError` says, and an admission that takes a trip
  ["schedule", /^retry\/(RetrySchedule|driver)\.ts$/],
  ["RateLimiter", /^(RateLimiter\.ts|rateLimiter\/)/],
  ["CircuitBreaker", /^(CircuitBreaker\.ts|circuitBreaker\/)/],
  ["Bulkhead", /^(Bulkhead\.ts|bulkhead\/)/],
  ["Timeout", /^Timeout\.ts/],
  ["RetryBudget", /^RetryBudget\.ts$/],
  ["Retry", /^(Retry\.ts|retry\/)/],
  ["Backoff", /^Backoff\.ts/],
  ["Resilience", /^(Resilience|Policies)\.ts|^resilience\//],
  ["Telemetry", /^Telemetry\.ts/],
  ["EventStream", /^EventStream\.ts/],
  ["shared", /^internal\//]
]

const ground = ["kernel", "values", "StoreModel", "shared"]
const policy = [...ground, "memory", "waiting", "Policy", "engine"]
const policies = ["RateLimiter", "CircuitBreaker", "Bulkhead", "Timeout", "Retry", "RetryBudget", "Backoff", "schedule"]

/** What each place may import beside itself, always from further down. `index` is in no row: nothing imports it. */
export const arrows: Record<string, ReadonlyArray<string>> = {
  kernel: [],
  values: ["kernel"],
  StoreModel: ["kernel", "values"],
  shared: ["kernel", "values", "StoreModel"],
  memory: ground,
  Store: ["StoreModel", "memory"], // for `Store.layerMemory`
  waiting: ground,
  Policy: [...ground, "waiting"],
  engine: [...ground.filter((place) => place !== "kernel"), "waiting", "Policy"], // a kernel is a policy's
  remote: [...ground, "memory", "Policy", "engine"],
  RateLimiter: policy,
  Bulkhead: policy,
  Timeout: policy,
  CircuitBreaker: [...policy, "Backoff"], // an open duration may be a Backoff, which is plain data
  RetryBudget: [...ground, "Policy"],
  Retry: [...policy, "RetryBudget", "Backoff", "schedule"],
  Backoff: [...ground, "schedule"], // for `Backoff.toSchedule`
  schedule: ground,
  Resilience: [...policy, ...policies],
  Telemetry: [...policy, ...policies, "Resilience"],
  EventStream: [...policy, ...policies, "Resilience"],
  index: places.map(([place]) => place)
}

/** Effect modules that only some places may import. `weight` is about the bundle, `knowledge` about who knows what. */
const reserved: ReadonlyArray<{ rule: "weight" | "knowledge"; modules: RegExp; only: ReadonlyArray<string> }> = [
  { rule: "weight", modules: /^effect\/(Stream|PubSub|Queue|Channel|Sink)$/, only: ["EventStream"] },
  { rule: "weight", modules: /^effect\/Schedule$/, only: ["schedule"] },
  { rule: "weight", modules: /^effect\/Schema\w*$/, only: [] },
  { rule: "knowledge", modules: /^effect\/(Metric|Tracer|Logger|LogLevel)$/, only: ["Telemetry"] },
  { rule: "knowledge", modules: /^effect\/Tx\w+$/, only: ["memory"] }
]

/** Spans, logs and metrics by way of the `Effect` module. `Effect.fn` names a span. */
const telemetryCalls = /^(log([A-Z]\w*)?|fn|\w*Spans?(Scoped)?|spanAnnotations|annotate\w+|track([A-Z]\w*)?)$/

const SOURCE_LINES = 400
const KERNEL_LINES = 180

interface Import {
  readonly specifier: string
  readonly line: number
  readonly typeOnly: boolean
}

interface Module {
  readonly imports: ReadonlyArray<Import>
  /** Identifiers and strings. */
  readonly words: ReadonlyArray<{ readonly line: number; readonly word: string }>
  /** The kinds of what is written here with a stage from 30 to 60, or 80. */
  readonly members: ReadonlyArray<string>
  readonly telemetryCalls: ReadonlyArray<{ readonly line: number; readonly name: string }>
  readonly lines: number
}

/** What is read of a node here. */
interface Syntax {
  readonly name?: string
  readonly value?: unknown
  readonly property?: Syntax
}

interface Field {
  readonly key?: Syntax
  readonly value?: Syntax | null
}

/** A stage by its name, or in numbers. */
const isGated = (stage: unknown): boolean =>
  typeof stage === "number"
    ? (stage >= 30 && stage <= 60) || stage === 80
    : typeof stage === "string" && /^(shed|circuit|throttle|limit|slots|hedge)$/.test(stage)

type Report = (file: string, line: number, rule: string, message: string) => void

const parse = (file: string, text: string, report: Report): Module => {
  const { errors, program } = parseSync(file, text)
  const lineAt = (offset: number) => text.slice(0, offset).split("\n").length
  for (const error of errors) report(file, lineAt(error.labels[0]?.start ?? 0), "syntax", error.message)
  const imports: Array<Import> = []
  const calls: Array<{ line: number; name: string }> = []
  const words: Array<{ line: number; word: string }> = []
  const members: Array<string> = []
  /** The fields of an object or a class: a member, where they have a kind and a stage. */
  const member = (fields: ReadonlyArray<object>) => {
    // nodes of the tree: a spread or a static block has no key
    const valueOf = (name: string) => (fields as ReadonlyArray<Field>).find(({ key }) => key?.name === name)?.value
    const kind = valueOf("kind")?.value
    const stage = valueOf("stage")
    if (typeof kind === "string" && isGated(stage?.property?.name ?? stage?.value)) members.push(kind)
  }
  const say = (word: string, start: number) => words.push({ line: lineAt(start), word })
  const add = (
    source: { readonly type: string; readonly value?: unknown; readonly start: number },
    typeOnly: boolean
  ) => {
    const specifier = source.type === "Literal" && typeof source.value === "string" ? source.value : "(computed)"
    imports.push({ specifier, line: lineAt(source.start), typeOnly })
  }
  new Visitor({
    ImportDeclaration: (node) => add(node.source, node.importKind === "type"),
    ExportAllDeclaration: (node) => add(node.source, node.exportKind === "type"),
    ExportNamedDeclaration: (node) => {
      if (node.source !== null) add(node.source, node.exportKind === "type")
    },
    ImportExpression: (node) => add(node.source, false),
    TSImportType: (node) => add(node.source, true),
    ObjectExpression: ({ properties }) => member(properties),
    ClassBody: ({ body }) => member(body),
    Identifier: (node) => say(node.name, node.start),
    PrivateIdentifier: (node) => say(node.name, node.start),
    Literal: (node) => {
      if (typeof node.value === "string") say(node.value, node.start)
    },
    TemplateElement: (node) => say(node.value.raw, node.start),
    MemberExpression: (node) => {
      const { object, property } = node
      if (object.type !== "Identifier" || object.name !== "Effect" || property.type !== "Identifier") return
      if (telemetryCalls.test(property.name)) calls.push({ line: lineAt(node.start), name: property.name })
    }
  }).visit(program)
  return { imports, members, telemetryCalls: calls, words, lines: text.replace(/\n$/, "").split("\n").length }
}

/** A relative import as a path below `src`. */
const target = (file: string, specifier: string): string | undefined =>
  specifier.startsWith(".") ? posix.normalize(posix.join(posix.dirname(file), specifier)) : undefined

const placeOf = (file: string): string | undefined => places.find(([, files]) => files.test(file))?.[0]

type Modules = ReadonlyMap<string, Module>

/** A circle of types loads nothing, but none of its files can be read, moved or understood without the others. */
const cycles = (modules: Modules, report: Report): void => {
  const done = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    for (const { line, specifier } of modules.get(file)?.imports ?? []) {
      const to = target(file, specifier)
      if (to === undefined || !modules.has(to) || done.has(to)) continue
      const start = path.indexOf(to)
      if (start >= 0) report(file, line, "cycle", [...path.slice(start), to].join(" -> "))
      else visit(to, [...path, to])
    }
    done.add(file)
  }
  for (const file of modules.keys()) if (!done.has(file)) visit(file, [file])
}

interface PolicyNames {
  /** No word of the engine has one of them in it: `isBulkhead`, `"the bulkhead is full"`. */
  readonly kinds: ReadonlyArray<string>
  readonly others: ReadonlySet<string>
}

/**
 * The names of the policies of stages 30 to 60 and 80: their kinds, the tags of their rejections, and their files. Read from
 * the sources, so that a new policy is known the day it is written.
 */
const policyNames = (modules: Modules, sources: Readonly<Record<string, string>>): PolicyNames => {
  const kinds = new Set<string>()
  const others = new Set<string>()
  const homes = new Set<string | undefined>()
  for (const [file, { members }] of modules) {
    for (const kind of members) {
      kinds.add(kind)
      homes.add(placeOf(file))
    }
  }
  for (const text of Object.values(sources)) {
    for (const [, tag] of text.matchAll(/\bclass (\w+) extends (?:\w+\.)?Rejection\b/g)) {
      if (tag !== "StoreError") others.add(tag!)
    }
  }
  for (const file of Object.keys(sources)) {
    const name = posix.basename(file, ".ts")
    if (homes.has(placeOf(file)) && /^[A-Z]/.test(name)) others.add(name)
  }
  return { kinds: [...kinds], others }
}

/** The engine knows no policy: a new one must not need a line there. */
const ignorance = (modules: Modules, { kinds, others }: PolicyNames, report: Report): void => {
  for (const [file, { words }] of modules) {
    if (placeOf(file) !== "engine") continue
    for (const { line, word } of words) {
      const small = word.toLowerCase()
      const known =
        kinds.find((kind) => small.includes(kind.toLowerCase())) ?? word.split(/\W+/).find((part) => others.has(part))
      if (known !== undefined) report(file, line, "knowledge", `the engine knows no policy: ${known}`)
    }
  }
}

/** Rules of the core package, `effect-resilience`. */
const core = (modules: Modules, report: Report): void => {
  const scheduleImporters = new Set<string>()
  for (const [file, module] of modules) {
    const place = placeOf(file)
    if (place === undefined) {
      report(file, 1, "place", "has no place in scripts/arrows.ts: say where it stands")
      continue
    }
    const limit = place === "kernel" ? KERNEL_LINES : SOURCE_LINES
    if (module.lines > limit) report(file, limit + 1, "size", `${module.lines} lines, ${limit} at most`)
    for (const { line, name } of place === "Telemetry" ? [] : module.telemetryCalls) {
      report(file, line, "knowledge", `only Telemetry knows metrics, spans and logs: Effect.${name}`)
    }
    for (const { line, specifier, typeOnly } of module.imports) {
      const to = target(file, specifier)
      const allowed = arrows[place] ?? []
      if (to !== undefined) {
        const there = placeOf(to)
        if (!modules.has(to)) report(file, line, "outside", `${specifier} is not a file of this package's src`)
        else if (there !== undefined && there !== place && !allowed.includes(there)) {
          report(file, line, "arrow", `${place} must not import ${there} (${to})`)
        }
      } else if (place === "kernel") {
        report(file, line, "kernel", `a kernel imports nothing outside src/kernel: ${specifier}`)
      } else if (specifier === "effect") {
        report(file, line, "package", `import effect by module ("effect/Effect"), not its index`)
      } else if (!specifier.startsWith("effect/")) {
        report(file, line, "package", `effect is the only dependency: ${specifier}`)
      }
      if (specifier === "effect/Schedule" && !typeOnly) scheduleImporters.add(file)
      for (const { modules: names, only, rule } of reserved) {
        if (!names.test(specifier) || only.includes(place) || (rule === "weight" && typeOnly)) continue
        report(file, line, rule, `${only.length === 0 ? "nothing" : `only ${only.join(", ")}`} may import ${specifier}`)
      }
    }
  }
  if (scheduleImporters.size > 1) {
    for (const file of scheduleImporters) report(file, 1, "weight", "one file alone imports effect/Schedule")
  }
}

/** Rules of every other package: it sees the core as its users do, and no barrel that would load all of it. */
const satellite = (modules: Modules, report: Report): void => {
  for (const [file, module] of modules) {
    if (module.lines > SOURCE_LINES) {
      report(file, SOURCE_LINES + 1, "size", `${module.lines} lines, ${SOURCE_LINES} at most`)
    }
    for (const { line, specifier } of module.imports) {
      const to = target(file, specifier)
      if (to === "index.ts") report(file, line, "arrow", "nothing imports index")
      else if (to !== undefined && !modules.has(to)) {
        report(file, line, "outside", `${specifier} is not a file of this package's src`)
      } else if (/^effect-resilience\/internal\b/.test(specifier)) {
        report(file, line, "arrow", `a satellite sees the public modules only: ${specifier}`)
      } else if (/^effect(-resilience)?$/.test(specifier)) {
        report(file, line, "package", `import ${specifier} by module ("${specifier}/..."), not its index`)
      }
    }
  }
}

/** The violations of one package, whose files are given by their paths below `src`. */
export const check = (packageName: string, sources: Readonly<Record<string, string>>): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const report: Report = (file, line, rule, message) => violations.push({ file, line, rule, message })
  const modules = new Map(Object.entries(sources).map(([file, text]) => [file, parse(file, text, report)]))
  if (packageName === "resilience") {
    core(modules, report)
    ignorance(modules, policyNames(modules, sources), report)
  } else satellite(modules, report)
  cycles(modules, report)
  return violations
}

if (isMain(import.meta)) {
  let files = 0
  const lines: Array<string> = []
  for (const folder of globSync("packages/*/src", { cwd: root }).toSorted()) {
    const sources = Object.fromEntries(
      globSync("**/*.ts", { cwd: join(root, folder) })
        .toSorted()
        .map((file) => [file, readFileSync(join(root, folder, file), "utf8")])
    )
    files += Object.keys(sources).length
    for (const { file, line, message, rule } of check(posix.basename(posix.dirname(folder)), sources)) {
      lines.push(`${folder}/${file}:${line}  ${rule}: ${message}`)
    }
  }
  if (lines.length > 0) fail(lines)
  console.log(`arrows: ${files} files, all point one way`)
}
