/**
 * A run of two devices against the server's own code, in which client 0 is either Node's device or the embedded script in some
 * engine. Engines answer no frame while they run: at each frame of the server's the script runs anew on all frames so far, and
 * what it says beyond what it has said before goes to the server. A device is a function of what it receives.
 */
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import { formatConfig, parseConfig } from '../../runtime/model/config.ts'
import { checksumText, checksumWeights } from '../../runtime/model/fingerprint.ts'
import { countOf } from '../../runtime/model/layout.ts'
import { blockTensors, embeddingTensors } from '../../runtime/model/names.ts'
import type { Link } from '../../runtime/host/network.ts'
import { formatHex, parseHex } from '../../runtime/text/hex.ts'
import type { Codec } from '../../runtime/wire/codec.ts'
import type { TensorInput } from '../../runtime/wire/safetensors.ts'
import { encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { FoundHost, Ran } from '../../scripts/engines/script.ts'
import { openKernelBuild } from '../kernels.ts'
import type { Scene } from '../split/harness.ts'
import { openScene } from '../split/harness.ts'
import { config as shape, makeContract, makeShares, weights } from '../split/model.ts'

export const EMBEDDED = 0
/** Blocks of the embedded device. */
export const CUT = 2
const CONFIG = formatConfig(shape)
const NAME = 'device 0'
const shares = makeShares(2)

/** What the embedded device is given, as texts: they stand in the script. */
export type Brought = { config: string; weights: string; sequences: number[][]; labels: number[]; name: string; client: number }

export const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** As much of the model as the device computes. */
async function encodeWeights(): Promise<Uint8Array> {
  const shapes = [...embeddingTensors(shape), ...Array.from({ length: CUT }, (_, block) => blockTensors(shape, block)).flat()]
  const tensors: TensorInput[] = []
  for (const { name, shape } of shapes) {
    const { data } = await weights.read(name, shape)
    if (data.length !== 4 * countOf(shape)) throw new Error(name)
    tensors.push({ name: `bert.${name}`, dtype: 'F32', shape, data })
  }
  return encodeSafetensors(tensors, { format: 'pt' })
}

function bring({ sequences, labels }: TokenizedDataset, weightsFile: Uint8Array): Brought {
  return {
    config: CONFIG, weights: toBase64(weightsFile), sequences: sequences.map((ids) => [...ids]), labels: [...labels],
    name: NAME, client: EMBEDDED,
  }
}

/** ES5, around the script: makes the device, hands it `frames`, prints what it answers. */
const SESSION = `
var ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
function decode(text) {
  var bytes = new Uint8Array(Math.floor(text.replace(/=+$/, '').length * 3 / 4))
  for (var at = 0, byte = 0; byte < bytes.length; at += 4) {
    var word = 0
    for (var digit = 0; digit < 4; digit++) word = word << 6 | Math.max(0, ALPHABET.indexOf(text.charAt(at + digit)))
    for (var part = 16; part >= 0 && byte < bytes.length; part -= 8) bytes[byte++] = word >> part & 255
  }
  return bytes
}
function tell(answers) {
  for (var index = 0; index < answers.length; index++) {
    var text = ''
    for (var at = 0; at < answers[index].length; at++) text += (256 + answers[index][at]).toString(16).substring(1)
    print('frame ' + text)
  }
}
function measure(what, work) {
  var start = new Date().getTime()
  var answers = work()
  print('time ' + what + ' ' + (new Date().getTime() - start))
  tell(answers)
}
var device
brought.weights = decode(brought.weights).buffer
measure('begin', function () {
  device = kerf.openDevice(brought)
  return device.begin()
})
for (var index = 0; index < frames.length; index++) {
  measure('frame' + index, function () { return device.takeFrame(decode(frames[index])) })
}
print(device.isDone() ? 'done' : 'waits')
`

export function sessionScript(script: string, brought: Brought, frames: readonly Uint8Array[]): string {
  return [script, `var brought = ${JSON.stringify(brought)}`, `var frames = ${JSON.stringify(frames.map(toBase64))}`, SESSION].join('\n')
}

/** Hands the device a welcome with one bit turned, and prints what it throws. */
export function damagedScript(script: string, { down: [welcome], brought }: Session): string {
  const damaged = welcome.slice()
  damaged[damaged.length - 1] ^= 1
  return [script, `var brought = ${JSON.stringify(brought)}`, `var frames = ${JSON.stringify([toBase64(damaged)])}`,
    `try {${SESSION}} catch (error) { print('error ' + error.name + ' ' + error.code + ' ' + error.message) }`].join('\n')
}

export type Answers = { frames: Uint8Array[]; end: string; ran: Ran; timesMs: Map<string, number> }

export function readAnswers(ran: Ran): Answers {
  const said = ran.lines.filter((line) => line.startsWith('frame ')).map((line) => line.slice(6))
  const frames = said.map((digits) => parseHex(digits, digits.length / 2) ?? new Uint8Array())
  const times = ran.lines.filter((line) => line.startsWith('time ')).map((line) => line.split(' '))
  const timesMs = new Map(times.map(([, what, ms]) => [what, Number(ms)]))
  return { frames, end: ran.lines[ran.lines.length - 1] ?? 'nothing', ran, timesMs }
}

export type Session = {
  /** Of client 0, in the order in which they passed. */
  up: string[]
  down: Uint8Array[]
  vector: Float32Array
  /** The last run of the script, on all frames; null for Node's own device. */
  answers: Answers | null
  brought: Brought
}

async function openRun(codec: Codec): Promise<{ scene: Scene; fingerprint: number; brought: Brought }> {
  const kernel = await openKernelBuild('scalar')
  const crc32c = createChecksum(kernel)
  const fingerprint = checksumText(JSON.stringify(parseConfig(CONFIG)), crc32c)
  const checksums = await checksumWeights(weights, shape, crc32c).checksumAll()
  const contract = makeContract({
    steps: 2, interval: 2, checkpointEvery: 1, cuts: [CUT, 1], fingerprint, weights: checksums, codec,
  })
  const scene = await openScene({ contract, build: 'scalar', shares })
  return { scene, fingerprint, brought: bring(shares[EMBEDDED], await encodeWeights()) }
}

/** Runs the script at each frame of the server's, and sends what it answers. */
async function attend(link: Link, host: FoundHost, script: string, brought: Brought, down: Uint8Array[]): Promise<Answers> {
  for (let told = 0;;) {
    const answers = readAnswers(await host.run(sessionScript(script, brought, down)))
    for (const frame of answers.frames.slice(told)) link.send(frame)
    told = answers.frames.length
    if (answers.end === 'done') return answers
    const frame = await link.receive()
    if (!frame) return answers
    down.push(frame.slice())
  }
}

export type SessionOptions = { engine?: { host: FoundHost; script: string }; codec?: Codec }

/** A whole run; `engine` in the place of Node's device. */
export async function runSession({ engine, codec = 'f32' }: SessionOptions = {}): Promise<Session> {
  const { scene, fingerprint, brought } = await openRun(codec)
  const provide = (same: object) => ({ ...same, fingerprint }) as never
  const other = scene.join(1, { provide })
  const down: Uint8Array[] = []
  let answers: Answers | null = null
  if (engine) answers = await attend(scene.connect(EMBEDDED), engine.host, engine.script, brought, down)
  else await scene.join(EMBEDDED, { provide })
  const { vector } = await scene.finish()
  await other
  const mine = scene.passages.filter(({ client }) => client === EMBEDDED)
  return {
    vector, answers, brought,
    up: mine.filter(({ direction }) => direction === 'up').map(({ type, bytes }) => `${type} ${formatHex(bytes)}`),
    down: mine.filter(({ direction }) => direction === 'down').map(({ bytes }) => bytes),
  }
}
