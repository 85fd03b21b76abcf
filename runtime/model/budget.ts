/** How a stage fits a budget of memory: first what changes no bit, then what holds frozen weights in fewer. */
import { KerfError, refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import { WEIGHT_FORMATS } from '../kernel/format.ts'
import type { StageSpec } from './plan.ts'
import { planStage } from './plan.ts'

/** From the fastest and most exact to the smallest; a stage of one block has nothing to compute again. */
function variants(spec: StageSpec): StageSpec[] {
  const formats = WEIGHT_FORMATS.slice(WEIGHT_FORMATS.indexOf(spec.format ?? 'f32'))
  const ways = spec.recompute || spec.training === 'none' ? [spec.recompute ?? false] : [false, true]
  return formats.flatMap((format) => ways.map((recompute) => ({ ...spec, format, recompute })))
}

/** Bytes of the variant's plan; over every budget where 32 bits can't address it. */
export function measureStage(variant: StageSpec, kernel: KernelExports): number {
  try {
    return planStage(variant, kernel).memory.bytes
  } catch (error) {
    if (error instanceof KerfError && error.code === 'plan.bytes') return Infinity
    throw error
  }
}

/**
 * The first variant of `spec` whose linear memory is at most `memoryBytes`; refuses `stage.memory` when none is, and
 * `plan.bytes` when 32 bits address none.
 */
export function fitStage(spec: StageSpec, memoryBytes: number, kernel: KernelExports): StageSpec {
  const sizes = variants(spec).map((variant) => ({ variant, bytes: measureStage(variant, kernel) }))
  const fitting = sizes.find(({ bytes }) => bytes <= memoryBytes)
  if (fitting) return fitting.variant
  const smallest = Math.min(...sizes.map(({ bytes }) => bytes))
  // Over every budget: the plan says itself by how much.
  if (smallest === Infinity) planStage(sizes[sizes.length - 1].variant, kernel)
  return refuse('stage.memory', 'memory', `at least ${smallest} bytes for blocks ${spec.from} … ${spec.to}`, memoryBytes)
}
