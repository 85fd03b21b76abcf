/** `kerf bench`: how fast this device is, as tables or as the device profile that `kerf plan` reads. */
import { cpus, totalmem } from 'node:os'
import { refuse } from '../../../runtime/error.ts'
import { runBench } from '../../../runtime/bench/bench.ts'
import { QUICK, THOROUGH } from '../../../runtime/bench/measure.ts'
import { PRESETS, drawWeights, presetConfig } from '../../../runtime/bench/presets.ts'
import type { HostInfo } from '../../../runtime/model/profile.ts'
import { formatProfile } from '../../../runtime/model/profile.ts'
import { formatBench } from '../../../runtime/bench/table.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import type { Kernel } from '../../../runtime/kernel/load.ts'
import { MEMORY_BYTES_MAX } from '../../../runtime/kernel/plan.ts'
import type { ModelConfig } from '../../../runtime/model/config.ts'
import type { Weights } from '../../../runtime/model/weights.ts'
import type { Command, Flags } from '../flags.ts'
import { MODEL_FLAGS } from '../flags.ts'
import { ENGINE, findAsset, clock, readBytes } from '../host.ts'
import { describeInterrupt } from '../interrupt.ts'
import { KERNEL_FLAGS, STAGE_FLAGS, openNodeKernel } from '../kernel.ts'
import { modelDirectory, openModel } from '../model.ts'
import { LABELS_ASSUMED, readLora } from '../options.ts'
import { createProgress } from '../progress.ts'
import { RUN_FLAGS } from '../setting.ts'

function describeHost(): HostInfo {
  const processors = cpus()
  const machine = `${processors[0]?.model.trim() || 'processor unknown'}, ${processors.length} cores, ${process.platform} ${process.arch}`
  return { ...ENGINE, machine, memoryBytesMax: Math.min(MEMORY_BYTES_MAX, totalmem()) }
}

type Subject = { name: string; config: ModelConfig; weights: Weights }

async function openSubject(flags: Flags, kernel: Kernel): Promise<Subject> {
  if (!flags.has('preset')) return openModel(modelDirectory(flags.optional('model')), createChecksum(kernel))
  if (flags.has('model')) refuse('flag-preset', '--preset', 'no --model beside it', flags.text('model'))
  const preset = flags.choice('preset', PRESETS)
  return { name: `BERT-${preset}`, config: presetConfig(preset), weights: drawWeights() }
}

export const benchCommand: Command = {
  summary: 'measure this device: operations, whole steps, and where the time of a step goes',
  flags: {
    ...MODEL_FLAGS,
    ...KERNEL_FLAGS,
    ...STAGE_FLAGS,
    threads: { ...STAGE_FLAGS.threads, help: 'threads of whole steps; all else is measured on one' },
    preset: { type: 'string', value: 'NAME', help: `${PRESETS.join(', ')}: BERT's sizes with drawn weights, instead of a model` },
    cut: { type: 'string', value: 'K', default: '1', help: 'blocks on the device; all of them bring the head too' },
    batch: RUN_FLAGS.batch,
    length: { type: 'string', value: 'TOKENS', default: '128', help: 'tokens of each text' },
    rank: RUN_FLAGS.rank, alpha: RUN_FLAGS.alpha, targets: RUN_FLAGS.targets,
    quick: { type: 'boolean', default: false, help: 'fewer sizes and samples: a look, not a measurement' },
    json: { type: 'boolean', default: false, help: 'print the device profile as JSON' },
  },
  async run(flags) {
    const { kernel, stage, notes } = await openNodeKernel(flags)
    const { name, config, weights } = await openSubject(flags, kernel)
    const quick = flags.on('quick')
    const shape = {
      config, labels: config.labels.length || LABELS_ASSUMED, adapter: readLora(flags), cut: flags.integer('cut', 1, config.layers),
      batch: flags.integer('batch', 1, 4096), length: Math.min(flags.integer('length', 1, 8192), config.positionsMax), stage,
    }
    for (const note of notes) process.stderr.write(`${note}\n`)
    describeInterrupt(() => 'interrupted, nothing measured in full')
    const progress = createProgress(process.stderr, { now: clock.now })
    try {
      const profile = await runBench({
        kernel, kernelBytes: readBytes(findAsset(`kerf.${kernel.build}.wasm`)).length, host: describeHost(), timer: clock, options: quick ? QUICK : THOROUGH,
        name, shape, weights, quick, on: progress.update,
      })
      progress.end()
      process.stdout.write(flags.on('json') ? formatProfile(profile) : formatBench(profile))
    } finally {
      progress.end()
    }
  },
}
