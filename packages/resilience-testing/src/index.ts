/**
 * For tests of and with effect-resilience.
 *
 * @since 0.1.0
 */
export * as Arbitraries from "./Arbitraries.ts"
export * as Dependency from "./Dependency.ts"
export * as KernelLaws from "./KernelLaws.ts"
export * as Law from "./Law.ts"
export * as PolicyLaws from "./PolicyLaws.ts"
export * as Report from "./Report.ts"
export * as Simulation from "./Simulation.ts"
export * as StoreLaws from "./StoreLaws.ts"
export * as TestResilience from "./TestResilience.ts"
export * as Traffic from "./Traffic.ts"
export * as World from "./World.ts"
