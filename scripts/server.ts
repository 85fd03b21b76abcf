/**
 * How much a server gets done beside computing: steps and frames a second of a real server and its real devices over link
 * pairs, all in this process.
 *
 *   npm run build && node --import tsx scripts/server.ts [--devices 200] [--steps 20] [--runs 5] [--json]
 *
 * Scheme kerf, one interval, two blocks of width 8 cut at 1, a batch of one text of two tokens. `idle` halves compute nothing
 * and return zeros of the right size; `stage` halves are real stages of that model. What is left is everything else: frames made
 * and checked on both sides, schedule, serving loop, states. Frames count both ways, from the first order to the last upload;
 * greetings don't. Medians over the runs, which take turns.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { median } from '../runtime/bench/measure.ts'
import type { TokenizedDataset } from '../runtime/data/dataset.ts'
import { startRun } from '../runtime/federation/run.ts'
import { createChecksum } from '../runtime/kernel/checksum.ts'
import type { Kernel } from '../runtime/kernel/load.ts'
import { loadKernel } from '../runtime/kernel/load.ts'
import type { ModelConfig } from '../runtime/model/config.ts'
import { layoutOf } from '../runtime/model/layout.ts'
import { freshState } from '../runtime/model/optimizer.ts'
import type { StageSpec } from '../runtime/model/plan.ts'
import { planStage } from '../runtime/model/plan.ts'
import type { Contract } from '../runtime/split/contract.ts'
import { optimizerOf } from '../runtime/split/contract.ts'
import { runDevice } from '../runtime/split/device.ts'
import type { Half } from '../runtime/split/half.ts'
import { numericsOf, openStageHalf } from '../runtime/split/half.stage.ts'
import type { Link } from '../runtime/host/network.ts'
import { createLinkPair } from '../runtime/split/link.ts'
import { formatColumns } from '../runtime/text/columns.ts'
import { formatNumber } from '../runtime/text/quantity.ts'
import { createHost, findAsset } from '../targets/node/host.ts'
import { ZEROS } from './zeros.ts'

const CONFIG: ModelConfig = {
  vocabSize: 16, hiddenSize: 8, layers: 2, heads: 2, intermediateSize: 16, positionsMax: 8, typesMax: 2, layerNormEps: 1e-12, labels: [],
}
const { clock } = createHost()
const CUT = 1
const DATA: TokenizedDataset = { sequences: [Int32Array.of(1, 2), Int32Array.of(3, 4)], labels: Int32Array.of(0, 1) }
const DEADLINE_MS = 600_000

const KINDS = ['idle', 'stage'] as const
type Kind = (typeof KINDS)[number]
/** Which halves compute: the server's and the devices'. */
const CASES: readonly { server: Kind; device: Kind }[] = [
  { server: 'idle', device: 'idle' }, { server: 'idle', device: 'stage' }, { server: 'stage', device: 'stage' },
]

export type Rates = { server: Kind; device: Kind; stepsPerSecond: number; framesPerSecond: number }

/** A half that computes nothing: zeros of the planned sizes. */
async function openIdleHalf(kernel: Kernel, spec: StageSpec): Promise<Half> {
  const { sets, head, memory: { bytes } } = planStage(spec, kernel.exports)
  const zeros = new Float32Array(spec.rows * spec.config.hiddenSize)
  const span = { beginMs: 0, endMs: 0 }
  let begin = 0, count = 0
  return {
    numerics: numericsOf(kernel, spec),
    async forward(input) {
      begin = input.begin
      count = input.offsets[input.offsets.length - 1] * spec.config.hiddenSize
      return { ...span, activation: head ? null : zeros.subarray(0, count) }
    },
    finish: async () => ({ ...span, end: 'updated', loss: head ? 0 : null, gradient: begin > 0 ? zeros.subarray(0, count) : null }),
    read: async (set) => freshState(new Float32Array(sets[set].layout.count)),
    write: async () => {},
    memory: async () => ({ bytes, modelBytes: 0, setBytes: 0 }),
    close: () => {},
  }
}

function makeContract(devices: number, steps: number): Contract {
  return {
    scheme: 'kerf', seed: 1, steps, interval: steps, checkpointEvery: 0, batch: 1, maxLength: 8, truncate: false, shuffle: false,
    learningRate: 1e-3, weightDecay: 0, codec: 'f32', adapter: { rank: 2, alpha: 4, targets: ['query', 'value'] }, labels: ['a', 'b'],
    cuts: new Array<number>(devices).fill(CUT), partition: 'contiguous', fingerprint: 1,
  }
}

/** One run from its first order to its end. */
async function measureRun(kernel: Kernel, kinds: { server: Kind; device: Kind }, devices: number, steps: number): Promise<Rates> {
  const contract = makeContract(devices, steps)
  const crc32c = createChecksum(kernel)
  const layout = layoutOf(CONFIG, contract.adapter, contract.labels.length, 0, CONFIG.layers)
  const open = (kind: Kind) => (spec: StageSpec): Promise<Half> =>
    (kind === 'idle' ? openIdleHalf(kernel, spec) : openStageHalf(kernel, spec, ZEROS, optimizerOf(contract), clock.now))
  let passing = 0, frames = 0
  const run = startRun({
    contract, config: CONFIG, kernel, crc32c, clock, run: 1, scheduler: 'longest-backward',
    deadlineMs: DEADLINE_MS, joinDeadlineMs: DEADLINE_MS, patience: 0, average: 'mean', clip: 0,
    openHalf: open(kinds.server), initial: new Float32Array(layout.count), save: async () => {},
    on: { ready: () => { passing = 0 }, step: () => {}, member: () => {}, interval: async () => { frames = passing } },
  })
  const count = (link: Link): Link => ({
    ...link,
    send(frame) {
      passing++
      link.send(frame)
    },
  })
  const join = (client: number): Promise<boolean> => {
    const [near, far] = createLinkPair()
    void run.server.attend(count(far))
    return runDevice({
      name: `device ${client}`, client, link: count(near), clock, crc32c,
      provide: async () => ({ config: CONFIG, fingerprint: 1, data: DATA, openHalf: open(kinds.device) }),
    })
  }
  const ended = Promise.all(contract.cuts.map((_, client) => join(client)))
  const { wallMs } = await run.result
  await ended
  return { ...kinds, stepsPerSecond: (1000 * devices * steps) / wallMs, framesPerSecond: (1000 * frames) / wallMs }
}

/** The medians of each case. */
export async function measureServer(kernel: Kernel, devices: number, steps: number, runs: number): Promise<Rates[]> {
  const samples: Rates[][] = CASES.map(() => [])
  for (let run = 0; run < runs; run++) {
    for (const [index, kinds] of CASES.entries()) samples[index].push(await measureRun(kernel, kinds, devices, steps))
  }
  const middle = (own: readonly Rates[], name: 'stepsPerSecond' | 'framesPerSecond') => median(own.map((rates) => rates[name]))
  return samples.map((own, index) =>
    ({ ...CASES[index], stepsPerSecond: middle(own, 'stepsPerSecond'), framesPerSecond: middle(own, 'framesPerSecond') }))
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      devices: { type: 'string', default: '200' }, steps: { type: 'string', default: '20' }, runs: { type: 'string', default: '5' },
      json: { type: 'boolean', default: false },
    },
  })
  const [devices, steps, runs] = [values.devices, values.steps, values.runs].map(Number)
  const kernel = await loadKernel(readFileSync(findAsset('kerf.simd.wasm')), 'simd')
  const rates = await measureServer(kernel, devices, steps, runs)
  if (values.json) return void process.stdout.write(`${JSON.stringify(rates, null, 1)}\n`)
  const rows = rates.map(({ server, device, stepsPerSecond, framesPerSecond }) =>
    [server, device, formatNumber(stepsPerSecond), formatNumber(framesPerSecond)])
  const table = formatColumns([['server', 'devices', 'steps/s', 'frames/s'], ...rows], 2)
  process.stdout.write(`${devices} devices, ${steps} steps each\n${table.join('\n')}\n`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)))
  await main(process.argv.slice(2))
}
