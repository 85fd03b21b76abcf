/** `kerf bench`: how fast this device is, as tables or as the device profile that `kerf plan` reads. */
import { runBench } from '../../bench/bench.ts'
import { QUICK, THOROUGH } from '../../bench/measure.ts'
import { drawWeights, presetConfig } from '../../bench/presets.ts'
import { formatBench } from '../../bench/table.ts'
import { refuse } from '../../error.ts'
import type { Engine } from '../../host/engine.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import { MEMORY_BYTES_MAX } from '../../kernel/plan.ts'
import type { ModelConfig } from '../../model/config.ts'
import type { HostInfo } from '../../model/profile.ts'
import { formatProfile } from '../../model/profile.ts'
import type { Weights } from '../../model/weights.ts'
import { defineCommand } from '../command.ts'
import { readBytes } from '../files.ts'
import type { ProgramHost } from '../host.ts'
import type { OpenedKernel } from '../kernel.ts'
import { KERNEL_SETTINGS, STAGE_SETTINGS, openProgramKernel } from '../kernel.ts'
import { modelDirectory, withModel } from '../model.ts'
import { createProgress } from '../progress.ts'
import type { Settings } from '../settings.ts'
import { LABELS_ASSUMED, chooseLora } from '../shape.ts'

const NAMES = [
  'model', ...KERNEL_SETTINGS, ...STAGE_SETTINGS, 'preset', 'cut', 'batch', 'length', 'rank', 'alpha', 'targets', 'quick', 'json',
] as const

type BenchSettings = Pick<Settings, (typeof NAMES)[number]>
type Subject = { name: string; config: ModelConfig; weights: Weights }

function describeHost({ name, version, platform, processor, processors, memoryBytes }: Engine): HostInfo {
  return { name, version, machine: `${processor}, ${processors} cores, ${platform}`, memoryBytesMax: Math.min(MEMORY_BYTES_MAX, memoryBytes) }
}

async function measureSubject(host: ProgramHost, { kernel, stage }: OpenedKernel, settings: BenchSettings, { name, config, weights }: Subject): Promise<void> {
  const { files, terminal, clock, engine } = host
  const { cut, batch, quick } = settings
  if (cut > config.layers) refuse('flag-integer', '--cut', `a whole number of 1 … ${config.layers}`, String(cut))
  const shape = {
    config, labels: config.labels.length || LABELS_ASSUMED, adapter: await chooseLora(files, settings), cut, batch,
    length: Math.min(settings.length, config.positionsMax), stage,
  }
  const progress = createProgress(terminal.screen, clock.now)
  try {
    const profile = await runBench({
      kernel, kernelBytes: (await readBytes(files, files.asset(`kerf.${kernel.build}.wasm`))).length, host: describeHost(engine), timer: clock,
      options: quick ? QUICK : THOROUGH, name, shape, weights, quick, on: progress.update,
    })
    progress.end()
    terminal.print(settings.json ? formatProfile(profile) : formatBench(profile))
  } finally {
    progress.end()
  }
}

export const benchCommand = defineCommand({
  summary: 'measure this device: operations, whole steps, and where the time of a step goes',
  names: NAMES,
  async run(settings, { host }) {
    const { files, terminal, interrupts } = host
    const { preset, model } = settings
    const opened = await openProgramKernel(host, settings)
    for (const note of opened.notes) terminal.screen.write(`${note}\n`)
    interrupts.describe(() => 'interrupted, nothing measured in full')
    if (preset !== undefined) return measureSubject(host, opened, settings, { name: `BERT-${preset}`, config: presetConfig(preset), weights: drawWeights() })
    const crc32c = createChecksum(opened.kernel)
    return withModel(files, modelDirectory(files, model), crc32c, (subject) => measureSubject(host, opened, settings, subject))
  },
})
