/**
 * What `npm run bench:hosts` runs inside a host: the device profile of `kerf bench`, at two of BERT's sizes and in little time.
 * Imports nothing of a host; the clock and the way to print are handed in.
 */
import { runBench } from '../../runtime/bench/bench.ts'
import type { MeasureOptions, Timer } from '../../runtime/bench/measure.ts'
import type { Preset } from '../../runtime/bench/presets.ts'
import { drawWeights, presetConfig } from '../../runtime/bench/presets.ts'
import type { Kernel } from '../../runtime/kernel/load.ts'
import type { DeviceProfile } from '../../runtime/model/profile.ts'

/** A clock may tick once in a millisecond, and an interpreter takes seconds for a call. */
const OPTIONS: MeasureOptions = { warmMs: 60, warmMsMax: 600, sampleMs: 12, samples: 5, samplesMin: 1, budgetMs: 120 }
/** Texts of a step and tokens of each, by model: what an interpreter can bear, and a batch of tweets. */
export const SIZES = { tiny: { batch: 1, length: 20 }, base: { batch: 8, length: 20 } } as const satisfies Partial<Record<Preset, object>>
export type Size = keyof typeof SIZES
const LABELS = 6
const ADAPTER = { rank: 8, alpha: 16, targets: ['query', 'value'] } as const
const MARK = 'kerf-profile '

export type MeasureInput = { kernel: Kernel; kernelBytes: number; timer: Timer; print(line: string): void }

/** Prints the profile of a device with the first block of one size. Throws `bench-clock` where the clock stands still. */
export async function measureSize({ kernel, kernelBytes, timer, print }: MeasureInput, size: Size): Promise<void> {
  const profile = await runBench({
    kernel, kernelBytes, timer, options: OPTIONS, name: `BERT-${size}`, weights: drawWeights(), quick: true, on: () => undefined,
    // Whoever asked fills in what it knows of the host.
    host: { name: 'host', version: '0', machine: 'machine', memoryBytesMax: null },
    shape: { config: presetConfig(size), labels: LABELS, adapter: ADAPTER, cut: 1, ...SIZES[size] },
  })
  print(MARK + JSON.stringify(profile))
}

/** The profiles among the lines of a host. */
export function readProfiles(lines: readonly string[]): DeviceProfile[] {
  return lines.flatMap((line) => {
    const at = line.indexOf(MARK)
    return at < 0 ? [] : [JSON.parse(line.slice(at + MARK.length)) as DeviceProfile]
  })
}
