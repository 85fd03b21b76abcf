/** Made-up reports with plausible numbers: BERT-base on six emotions, the paper's six devices. No number here was measured. */
import type { DeviceReport } from '../../runtime/federation/account.ts'
import { TOLD_BY_DEVICES } from '../../runtime/federation/account.ts'
import type { Report, SchemeReport } from '../../runtime/report/report.ts'
import type { Span } from '../../runtime/split/stats.ts'

const MIB = 1024 * 1024
const LAYERS = 12
const BLOCK_BYTES = 28 * MIB
const EMBEDDING_BYTES = 92 * MIB
const SET_BYTES = 7.2 * MIB
const CUTS = [1, 1, 2, 2, 3, 3]
const SPEEDS = [0.472, 1.33, 1.689, 2.774, 2.147, 3.533]
const SERVER_SPEED = 30
const SAMPLES = [2667, 2666, 2667, 2667, 2666, 2667]
const COUNTS = [
  [1900, 300, 200, 150, 90, 27],
  [250, 2000, 220, 90, 66, 40],
  [500, 700, 900, 300, 200, 67],
  [120, 200, 100, 1800, 347, 100],
  [20, 0, 0, 2600, 46, 0],
  [900, 850, 400, 300, 150, 67],
]

/** A repeatable number in [0, 1) for made-up noise. */
function noiseOf(a: number, b: number): number {
  const mixed = Math.imul((a + 1) * 7919 + b * 104729, 0x9e3779b1) >>> 0
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
}

type Flow = 'parallel' | 'oneByOne' | 'serverEach' | 'whole' | 'central'
type Shape = { scheme: string; scheduler: string; flow: Flow; pace: number; noise: number }

const SHAPES: readonly Shape[] = [
  { scheme: 'kerf', scheduler: 'longest-backward', flow: 'parallel', pace: 16, noise: 1 },
  { scheme: 'sl', scheduler: '', flow: 'oneByOne', pace: 13, noise: 2 },
  { scheme: 'sfl', scheduler: '', flow: 'serverEach', pace: 16, noise: 1 },
  { scheme: 'splitlora', scheduler: 'fifo', flow: 'parallel', pace: 19, noise: 3 },
  { scheme: 'fl', scheduler: '', flow: 'whole', pace: 17, noise: 4 },
  { scheme: 'central', scheduler: '', flow: 'central', pace: 11, noise: 5 },
]

/** A report of `schemeCount` (at most 6) schemes over `clients` devices for `rounds` rounds. */
export function makeReport(schemeCount = 6, clients = 6, rounds = 60): Report {
  return {
    kerf: '0.1.0',
    command: `kerf train --clients ${clients} --scheme all --partition dirichlet:0.5 --rank 16 --batch 16 --steps ${rounds} --out out`,
    seed: 7,
    model: {
      name: 'bert-base-uncased', layers: LAYERS, hiddenSize: 768, heads: 12, intermediateSize: 3072,
      vocabSize: 30522, parameters: 109486854,
    },
    labels: ['sadness', 'joy', 'love', 'anger', 'fear', 'surprise'],
    adapter: { rank: 16, alpha: 32, targets: ['query', 'value'] },
    batch: 16,
    learningRate: 1e-5,
    interval: 10,
    host: 'node 20.19.0, linux x64, 8 threads, simd',
    toldByDevices: TOLD_BY_DEVICES,
    schemes: SHAPES.slice(0, schemeCount).map((shape) => makeScheme(shape, clients, rounds)),
  }
}

function makeScheme(shape: Shape, clients: number, rounds: number): SchemeReport {
  const timeline = makeTimeline(shape.flow, clients)
  const roundMs = timeline.reduce((last, span) => Math.max(last, span.endMs), 0)
  const spent = (party: (name: string) => boolean, kinds: readonly string[]) =>
    timeline.reduce((sum, span) => sum + (party(span.party) && kinds.includes(span.kind) ? span.endMs - span.beginMs : 0), 0) * rounds
  const whole = shape.flow === 'whole'
  const devices: DeviceReport[] = Array.from({ length: shape.flow === 'central' ? 0 : clients }, (_, client) => {
    const cut = whole ? LAYERS : CUTS[client % 6]
    const party = (name: string) => name === `device ${client}`
    const stepBytes = whole ? 0 : 16 * 22 * 768 * 4
    return {
      client,
      cut,
      samples: SAMPLES[client % 6],
      labelCounts: COUNTS[client % 6],
      memoryBytes: EMBEDDING_BYTES + cut * (BLOCK_BYTES + 9 * MIB),
      upBytes: rounds * stepBytes + Math.ceil(rounds / 10) * 0.25 * MIB * cut,
      downBytes: rounds * stepBytes + Math.ceil(rounds / 10) * 0.25 * MIB * cut,
      computeMs: spent(party, ['forward', 'backward']),
      waitMs: spent(party, ['wait']),
      steps: rounds - (client === 4 ? 2 : 0),
      drops: client === 4 ? 2 : 0,
    }
  })
  const modelBytes = (EMBEDDING_BYTES + LAYERS * BLOCK_BYTES) * (shape.flow === 'serverEach' ? clients : 1)
  const setBytes = Math.round(SET_BYTES * (shape.flow === 'parallel' || shape.flow === 'serverEach' ? clients : 1))
  const server = (name: string) => name.startsWith('server')
  const fit = (round: number) => 1 - 1 / (1 + (round / shape.pace) * (round / shape.pace))
  const accuracyAt = (round: number) => 0.17 + 0.74 * fit(round) + 0.02 * (noiseOf(round, shape.noise) - 0.5)
  return {
    scheme: shape.scheme,
    scheduler: shape.scheduler,
    rounds,
    accuracyBefore: accuracyAt(0),
    accuracyAfter: accuracyAt(rounds),
    macroF1After: accuracyAt(rounds) - 0.045,
    lossAfter: 1.8 - 1.55 * fit(rounds),
    majorityAccuracy: 0.3475,
    devices,
    server: {
      memoryBytes: whole ? 14 * MIB : modelBytes + setBytes + 61 * MIB,
      modelBytes: whole ? 0 : modelBytes,
      setBytes: whole ? 6 * MIB : setBytes,
      computeMs: spent(server, ['server', 'aggregate']),
      waitMs: spent(server, ['wait']),
    },
    wallMs: roundMs * rounds,
    losses: Array.from({ length: rounds * Math.max(1, devices.length) }, (_, index) => {
      const client = index % Math.max(1, devices.length)
      const round = 1 + Math.floor(index / Math.max(1, devices.length))
      return { round, client, loss: 1.8 - 1.5 * fit(round) + 0.5 * (noiseOf(round * 31 + client, shape.noise) - 0.5) }
    }),
    evaluations: Array.from({ length: Math.floor(rounds / 5) }, (_, index) => {
      const round = (index + 1) * 5
      return { round, accuracy: accuracyAt(round), loss: 1.8 - 1.5 * fit(round) }
    }),
    timeline,
  }
}

/** Times of one step in ms: forward, upload, server, download, backward of each device. */
function stepTimes(client: number): [number, number, number, number, number] {
  const forwardMs = (CUTS[client % 6] * 60) / SPEEDS[client % 6]
  return [forwardMs, 22, ((LAYERS - CUTS[client % 6]) * 180) / SERVER_SPEED + 40, 22, forwardMs * 1.7]
}

function makeTimeline(flow: Flow, clients: number): Span[] {
  if (flow === 'central') return [{ party: 'server', kind: 'server', beginMs: 0, endMs: 6 * 150 }]
  const spans: Span[] = []
  const add = (party: string, kind: Span['kind'], beginMs: number, endMs: number) => {
    if (endMs > beginMs) spans.push({ party, kind, beginMs, endMs })
    return endMs
  }
  let serverMs = 0
  let lastMs = 0
  const order = Array.from({ length: clients }, (_, client) => client).sort((a, b) => stepTimes(a)[0] - stepTimes(b)[0])
  for (const client of order) {
    const [forwardMs, upMs, computeMs, downMs, backwardMs] = stepTimes(client)
    const device = `device ${client}`
    if (flow === 'whole') {
      const doneMs = add(device, 'backward', add(device, 'forward', 0, forwardMs * 5), forwardMs * 14)
      lastMs = Math.max(lastMs, doneMs)
      continue
    }
    const beginMs = flow === 'oneByOne' ? add(device, 'wait', 0, lastMs) : 0
    const sentMs = add(device, 'upload', add(device, 'forward', beginMs, beginMs + forwardMs), beginMs + forwardMs + upMs)
    const server = flow === 'serverEach' ? `server ${client}` : 'server'
    const freeMs = flow === 'serverEach' ? 0 : serverMs
    const startMs = Math.max(sentMs, freeMs)
    add(server, 'wait', freeMs, startMs)
    serverMs = add(server, 'server', startMs, startMs + computeMs * (flow === 'serverEach' ? 4 : 1))
    add(device, 'wait', sentMs, serverMs)
    lastMs = Math.max(lastMs, add(device, 'backward', add(device, 'download', serverMs, serverMs + downMs), serverMs + downMs + backwardMs))
  }
  for (const party of new Set(spans.map((span) => span.party))) {
    const idleMs = spans.reduce((last, span) => (span.party === party ? Math.max(last, span.endMs) : last), 0)
    if (flow === 'whole') lastMs = Math.max(lastMs, add(party, 'upload', idleMs, idleMs + 30))
    else add(party, 'wait', idleMs, lastMs)
  }
  if (flow === 'whole') lastMs = add('server', 'aggregate', lastMs, lastMs + 25)
  return spans
}
