/**
 * For tests of and with effect-resilience.
 *
 * @since 0.1.0
 */
export * as Arbitraries from "./Arbitraries.ts"
export * as KernelLaws from "./KernelLaws.ts"
export * as Law from "./Law.ts"
export * as StoreLaws from "./StoreLaws.ts"
export * as TestResilience from "./TestResilience.ts"
export * as World from "./World.ts"
