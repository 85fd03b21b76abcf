/** FedAvg as a run calls it: vectors weighted by samples, in the order given. */
import { openAverage } from '../federation/average.ts'
import type { Kernel } from '../kernel/load.ts'
import { draw, writeSource } from '../cases/source.ts'
import type { Finding } from '../cases/tally.ts'

const CASES = [
  { count: 1, samples: [5] },
  { count: 67, samples: [1, 1] },
  { count: 1021, samples: [320, 7, 1, 4096] },
  { count: 24576, samples: [977, 16000, 3] },
] as const

async function runAverageCase(kernel: Kernel, { count, samples }: (typeof CASES)[number]): Promise<Finding> {
  const average = await openAverage(kernel, count)
  const contributions = samples.map((weight, index) => {
    const vector = new Float32Array(count)
    writeSource(draw(count, `contribution ${index}`), vector)
    return { vector, samples: weight }
  })
  const bytes = new Uint8Array(Float32Array.from(average(contributions)).buffer)
  return { name: `FedAvg count=${count} samples=${samples.join()}`, results: { out: { element: 'f32', bytes } }, damage: null }
}

export async function runAverageCases(kernel: Kernel, take: (finding: Finding) => void): Promise<void> {
  for (const it of CASES) take(await runAverageCase(kernel, it))
}
