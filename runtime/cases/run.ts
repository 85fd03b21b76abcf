/** The core: kernel cases on one instance, one after another and synchronously, so that an engine without promises can run it. */
import type { Arena } from './arena.ts'
import { runCase } from './arena.ts'
import type { Case } from './case.ts'
import { nameCase } from './case.ts'
import { bytesOfNumber } from './digest.ts'
import type { Finding, Result } from './tally.ts'

export function runKernelCase(arena: Arena, it: Case): Finding {
  const { result, bytes, damage } = runCase(arena, it)
  const results: Record<string, Result> = {}
  bytes.forEach((written, name) => {
    const slot = it.slots[name]
    if (slot.role === 'output' || slot.role === 'running') results[name] = { element: slot.element, bytes: written }
  })
  if (typeof result === 'number') results.result = { element: 'f64', bytes: bytesOfNumber(result) }
  return { name: nameCase(it), results, damage }
}

export function runKernelCases(arena: Arena, cases: readonly Case[], take: (finding: Finding) => void): void {
  for (let i = 0; i < cases.length; i++) take(runKernelCase(arena, cases[i]))
}
