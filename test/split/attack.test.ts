/** Promise 4, the dishonest half: every lie is answered by the code that names it and costs nobody but the liar. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { activationMax } from '../../runtime/model/bound.ts'
import type { Random } from '../../runtime/random.ts'
import { createRandom } from '../../runtime/random.ts'
import type { Contract } from '../../runtime/split/contract.ts'
import type { SchemeName } from '../../runtime/split/scheme.ts'
import { NAME_CHARS_MAX } from '../../runtime/split/contract.ts'
import { RETURNS_MAX } from '../../runtime/split/server/interval.ts'
import { encodeFrame } from '../../runtime/wire/frame.ts'
import { PRELUDE_BYTES } from '../../runtime/wire/limits.ts'
import { expectBits } from './bits.ts'
import { AT, forgeBody, forgeContent, forgeFloats, forgeHead, forgeIntegers, forgeNumber, forgeType } from './forge.ts'
import type { Direction, Ending, Fate, Outcome, Scene, Watch } from './harness.ts'
import { DEADLINE_MS, openScene, train } from './harness.ts'
import { LAYERS, config, makeContract, makeInitial, makeShares, weights } from './model.ts'
import { trainFederated } from './reference.ts'

type Forge = (bytes: Uint8Array) => Uint8Array | Uint8Array[]
/** One lie in the frame of that type and step. */
type Lie = { what: string; code: string; type: string; step: number; forge: Forge; scheme?: SchemeName; direction?: Direction; changes?: Partial<Contract> }

const undisturbed = new Map<string, Promise<Outcome>>()

function contractOf(scheme: SchemeName): Contract {
  return makeContract({ scheme, cuts: scheme === 'fl' ? [LAYERS, LAYERS, LAYERS] : [2, 1, 3], checkpointEvery: 2 })
}

function outcomeOf(scheme: SchemeName): Promise<Outcome> {
  const outcome = undisturbed.get(scheme) ?? train({ contract: contractOf(scheme) })
  undisturbed.set(scheme, outcome)
  return outcome
}

/** What no value of a true activation exceeds, for each client. */
function limitsOf({ cuts }: Contract): Promise<number[]> {
  return Promise.all(cuts.map((cut) => activationMax(config, weights, cut)))
}

function lieOnce({ type, step, forge, direction = 'up' }: Lie): Watch {
  let told = false
  return (passage): Fate => {
    if (told || passage.direction !== direction || passage.type !== type || passage.step !== step) return
    told = true
    return forge(passage.bytes)
  }
}

function codeOf(ending: Ending): string {
  return ending instanceof KerfError ? ending.code : ending
}

/** Device 1 lies, is refused by that code, then comes back and tells the truth: all ends as if nothing had been. */
async function expectRefused(lie: Lie): Promise<void> {
  const scheme = lie.scheme ?? 'kerf'
  const contract = { ...contractOf(scheme), ...lie.changes }
  const limits = { activationMax: lie.code === 'activation-range' ? await limitsOf(contract) : undefined }
  const scene = await openScene({ contract, options: limits })
  const honest = [scene.join(0), scene.join(2)]
  const refused = await scene.join(1, { watch: lieOnce(lie) })
  assert.is(codeOf(refused), lie.code, lie.what)
  const returned = scene.join(1)
  const { vector, devices } = await scene.finish()
  expectBits(vector, (await (lie.changes ? train({ contract }) : outcomeOf(scheme))).vector, lie.what)
  assert.equal(await Promise.all([...honest, returned]), ['done', 'done', 'done'], lie.what)
  assert.equal(devices.map(({ drops }) => drops), [0, 1, 0], lie.what)
  if (lie.direction !== 'down') assert.ok(scene.events.some((event) => event.startsWith('1 refused: ')), lie.what)
}

const float = (name: string, value: number): Forge => (bytes) => forgeFloats(bytes, name, (values) => { values[values.length >> 1] = value })
const integers = (name: string, change: (values: number[]) => readonly number[]): Forge => (bytes) => forgeIntegers(bytes, name, change)
const number = (field: keyof typeof AT, change: (value: number) => number): Forge => (bytes) => forgeNumber(bytes, field, change)
const metadata = (changes: Record<string, string>): Forge => (bytes) => forgeContent(bytes, (body) => { Object.assign(body.metadata, changes) })
const twice = (second: (bytes: Uint8Array) => Uint8Array): Forge => (bytes) => [bytes, second(bytes)]
const flip = (at: number): Forge => (bytes) => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
const shape = (name: string, change: (shape: readonly number[]) => number[]): Forge => (bytes) => forgeContent(bytes, ({ tensors }) => {
  const tensor = tensors.get(name)!
  const wanted = change(tensor.shape)
  tensors.set(name, { ...tensor, shape: wanted, data: new Uint8Array(4 * wanted.reduce((product, size) => product * size, 1)) })
})

const QUERY = 'encoder.layer.0.attention.self.query.lora_A'
const C = config.hiddenSize

const LIES: readonly Omit<Lie, 'type' | 'step'>[] = [
  { what: 'NaN', code: 'frame-not-finite', forge: float('activation', NaN) },
  { what: 'infinity', code: 'frame-not-finite', forge: float('activation', -Infinity) },
  { what: 'values that overflow', code: 'step-finite', forge: (bytes) => forgeFloats(bytes, 'activation', (values) => values.fill(3e38)) },
  { what: 'body damaged', code: 'frame-body-crc', forge: flip(PRELUDE_BYTES + 100) },
  { what: 'prelude damaged', code: 'frame-prelude-crc', forge: flip(AT.step) },
  { what: 'another magic', code: 'frame-magic', forge: number('magic', (value) => value + 1) },
  { what: 'another version', code: 'frame-version', forge: (bytes) => forgeHead(bytes, (view) => view.setUint8(AT.version, 2)) },
  { what: 'an unknown type', code: 'frame-type', forge: (bytes) => forgeHead(bytes, (view) => view.setUint8(AT.type, 99)) },
  { what: 'a flag', code: 'frame-flags', forge: (bytes) => forgeHead(bytes, (view) => view.setUint16(AT.flags, 1, true)) },
  { what: 'a reserved bit', code: 'frame-reserved', forge: number('reserved', () => 1) },
  { what: 'a chunk of two', code: 'frame-chunk', forge: number('chunkCount', () => 2) },
  { what: 'another run', code: 'frame-run', forge: number('run', (run) => run + 1) },
  { what: "another's number", code: 'frame-client', forge: number('client', () => 0) },
  { what: 'an old epoch', code: 'frame-epoch', forge: number('epoch', (epoch) => epoch - 1) },
  { what: 'a later epoch', code: 'frame-epoch', forge: number('epoch', (epoch) => epoch + 1) },
  { what: 'a step past', code: 'frame-step-past', forge: number('step', (step) => step - 1) },
  { what: 'a step to come', code: 'frame-step-future', forge: number('step', (step) => step + 1) },
  { what: 'the frame again', code: 'frame-sequence-replayed', forge: twice((bytes) => bytes) },
  { what: 'a second frame for the step', code: 'frame-window', forge: twice((bytes) => forgeNumber(bytes, 'sequence', (sequence) => sequence + 1)) },
  { what: 'a gap in the sequence', code: 'frame-sequence-future', forge: number('sequence', (sequence) => sequence + 1) },
  { what: 'a body cut short', code: 'frame-length', forge: (bytes) => bytes.slice(0, -1) },
  { what: 'bytes behind the body', code: 'frame-length', forge: (bytes) => Uint8Array.of(...bytes, 0) },
  { what: 'a body over the limit, claimed', code: 'frame-limit', forge: number('bodyBytes', () => 0x7fffffff) },
  { what: 'a body over the limit, sent', code: 'frame-limit', forge: (bytes) => forgeBody(bytes, new Uint8Array(1 << 20)) },
  { what: 'garbage', code: 'frame-prelude-crc', forge: () => Uint8Array.from({ length: 300 }, (_, index) => (index * 77) & 255) },
  { what: 'garbage within a frame', code: 'safetensors-header-limit', forge: (bytes) => forgeBody(bytes, new Uint8Array(300).fill(255)) },
  { what: 'half a prelude', code: 'frame-short', forge: (bytes) => bytes.slice(0, 32) },
  { what: 'nothing', code: 'frame-short', forge: () => new Uint8Array(0) },
  { what: 'another cut', code: 'activation-cut', forge: metadata({ cut: '2' }) },
  { what: 'no cut', code: 'activation-cut', forge: (bytes) => forgeContent(bytes, (body) => { body.metadata = {} }) },
  { what: 'offsets from 1', code: 'activation-offsets', forge: integers('offsets', ([, ...rest]) => [1, ...rest]) },
  { what: 'offsets short of the rows', code: 'activation-offsets', forge: integers('offsets', (all) => [...all.slice(0, -1), all[all.length - 1] - 1]) },
  { what: 'an empty sequence', code: 'activation-offsets', forge: integers('offsets', ([a, , ...rest]) => [a, a, ...rest]) },
  { what: 'offsets that fall', code: 'activation-offsets', forge: integers('offsets', ([a, b, c, d]) => [a, c, b, d]) },
  { what: 'negative offsets', code: 'activation-offsets', forge: integers('offsets', ([a, , ...rest]) => [a, -5, ...rest]) },
  { what: 'a sequence over the longest', code: 'activation-offsets', forge: integers('offsets', (all) => [0, all[all.length - 1]]) },
  { what: 'no offsets', code: 'activation-offsets', forge: integers('offsets', () => []) },
  { what: 'no sequence', code: 'activation-offsets', forge: (bytes) => integers('offsets', () => [0])(shape('activation', () => [0, C])(bytes) as Uint8Array) },
  { what: 'more offsets than sequences allowed', code: 'frame-shape', forge: integers('offsets', (all) => [...all, 50, 51]) },
  { what: 'a label over the last', code: 'activation-labels', forge: integers('labels', ([, ...rest]) => [3, ...rest]) },
  { what: 'a negative label', code: 'activation-labels', forge: integers('labels', ([, ...rest]) => [-1, ...rest]) },
  { what: 'a label too few', code: 'activation-labels', forge: integers('labels', ([, ...rest]) => rest) },
  { what: 'more rows than its share holds', code: 'frame-shape', forge: shape('activation', () => [40, C]) },
  { what: 'many more rows than its share holds', code: 'frame-limit', forge: shape('activation', () => [100, C]) },
  { what: 'another width', code: 'frame-shape', forge: shape('activation', ([rows]) => [rows, C + 1]) },
  { what: 'another rank', code: 'frame-shape', forge: shape('activation', ([rows]) => [rows * C]) },
  {
    what: 'integers for floats', code: 'frame-dtype',
    forge: (bytes) => forgeContent(bytes, ({ tensors }) => { tensors.set('activation', { ...tensors.get('activation')!, dtype: 'I32' }) }),
  },
  { what: 'a tensor missing', code: 'frame-missing-tensor', forge: (bytes) => forgeContent(bytes, ({ tensors }) => { tensors.delete('labels') }) },
  {
    what: 'a tensor too many', code: 'frame-extra-tensor',
    forge: (bytes) => forgeContent(bytes, ({ tensors }) => { tensors.set('more', { ...tensors.get('labels')!, name: 'more' }) }),
  },
  { what: 'an adapter out of turn', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'adapter') },
  { what: 'a state out of turn', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'state') },
  { what: 'a report of a model it has not', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'report') },
  { what: "a server's frame", code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'gradient') },
  { what: 'another hello', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'hello') },
  { what: 'an early goodbye', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'bye') },
  { what: 'an error', code: 'frame-type-unexpected', forge: (bytes) => forgeType(bytes, 'error') },
]

for (const lie of LIES) {
  test(`activation: ${lie.what} is refused with ${lie.code}`, () => expectRefused({ ...lie, type: 'activation', step: 1 }))
}

test('the same lies in a later interval, to other schemes', async () => {
  for (const [index, lie] of LIES.entries()) {
    await expectRefused({ ...lie, type: 'activation', step: 4, scheme: (['sfl', 'sl', 'kerf'] as const)[index % 3] })
  }
})

const UPLOADS: readonly Lie[] = [
  { what: 'adapter with NaN', code: 'frame-not-finite', type: 'adapter', step: 3, forge: float(QUERY, NaN) },
  { what: 'adapter of another shape', code: 'frame-shape', type: 'adapter', step: 3, forge: shape(QUERY, ([rank, width]) => [rank + 1, width]) },
  { what: 'adapter turned', code: 'frame-shape', type: 'adapter', step: 3, forge: shape(QUERY, ([rank, width]) => [width, rank]) },
  {
    what: 'adapter with a tensor missing', code: 'frame-missing-tensor', type: 'adapter', step: 3,
    forge: (bytes) => forgeContent(bytes, ({ tensors }) => { tensors.delete(QUERY) }),
  },
  {
    what: "adapter with the server's head", code: 'frame-extra-tensor', type: 'adapter', step: 3,
    forge: (bytes) => forgeContent(bytes, ({ tensors }) => {
      tensors.set('classifier.bias', { name: 'classifier.bias', dtype: 'F32', shape: [3], data: new Uint8Array(12) })
    }),
  },
  { what: 'adapter too early', code: 'frame-step-past', type: 'adapter', step: 3, forge: number('step', () => 2) },
  { what: 'adapter twice', code: 'frame-type-unexpected', type: 'adapter', step: 3, forge: twice((bytes) => forgeNumber(bytes, 'sequence', (at) => at + 1)) },
  { what: 'state with NaN', code: 'frame-not-finite', type: 'state', step: 2, forge: float(`v.${QUERY}`, NaN) },
  { what: 'state of a power that is none', code: 'state-power', type: 'state', step: 2, forge: metadata({ power1: '7' }) },
  { what: 'state without a power', code: 'state-power', type: 'state', step: 2, forge: (bytes) => forgeContent(bytes, (body) => { body.metadata = {} }) },
  { what: 'state of another step', code: 'frame-step-future', type: 'state', step: 2, forge: number('step', () => 4) },
  { what: 'state left out', code: 'frame-type-unexpected', type: 'state', step: 2, forge: () => [] },
  {
    what: 'report without a loss', code: 'report-loss', type: 'report', step: 1, scheme: 'fl',
    forge: (bytes) => forgeContent(bytes, (body) => { body.metadata = {} }),
  },
  { what: 'report of NaN', code: 'report-loss', type: 'report', step: 1, scheme: 'fl', forge: metadata({ loss: 'NaN' }) },
  { what: 'report of a script', code: 'report-loss', type: 'report', step: 1, scheme: 'fl', forge: metadata({ loss: '<script>' }) },
  {
    what: 'two reports', code: 'frame-window', type: 'report', step: 1, scheme: 'fl',
    forge: twice((bytes) => forgeNumber(bytes, 'sequence', (sequence) => sequence + 1)),
  },
  { what: 'whole adapter with infinity', code: 'frame-not-finite', type: 'adapter', step: 6, scheme: 'fl', forge: float('classifier.weight', Infinity) },
]

for (const lie of UPLOADS) {
  test(`${lie.what} is refused with ${lie.code}`, () => expectRefused(lie))
}

const all = (name: string, value: number): Forge => (bytes) => forgeFloats(bytes, name, (values) => values.fill(value))
/** One value moved by so much. */
const move = (name: string, by: number): Forge => (bytes) => forgeFloats(bytes, name, (values) => { values[values.length >> 1] += by })
const VALUE = 'encoder.layer.0.attention.self.value.lora_B'

/** Finite values that no training leads to. Three steps at 0.01 move a parameter by 0.031 at most. */
const ABSURD: readonly Lie[] = [
  { what: 'an adapter of 1e30', code: 'adapter-reach', type: 'adapter', step: 3, forge: all(QUERY, 1e30) },
  { what: 'an adapter of -3e38', code: 'adapter-reach', type: 'adapter', step: 6, forge: all(VALUE, -3e38) },
  { what: 'one value of 1e9 in an adapter', code: 'adapter-reach', type: 'adapter', step: 3, forge: float(QUERY, 1e9) },
  { what: 'one value moved by 0.1', code: 'adapter-reach', type: 'adapter', step: 3, forge: move(VALUE, 0.1) },
  { what: 'zeros, which would undo LoRA', code: 'adapter-reach', type: 'adapter', step: 3, forge: all(QUERY, 0) },
  { what: 'a head that explodes', code: 'adapter-reach', type: 'adapter', step: 3, scheme: 'fl', forge: move('classifier.weight', 1) },
  { what: 'an adapter of 1e30 in its turn', code: 'adapter-reach', type: 'adapter', step: 3, scheme: 'sl', forge: all(QUERY, 1e30) },
  { what: 'a state of 1e30', code: 'adapter-reach', type: 'state', step: 2, forge: all(QUERY, 1e30) },
  { what: 'a state of 1e30 in its turn', code: 'adapter-reach', type: 'state', step: 4, scheme: 'sl', forge: all(QUERY, 1e30) },
  { what: 'a first moment of 1e30', code: 'state-moments', type: 'state', step: 2, forge: all(`m.${QUERY}`, 1e30) },
  { what: 'a first moment without a second', code: 'state-moments', type: 'state', step: 2, forge: all(`v.${VALUE}`, 0) },
  { what: 'a second moment below zero', code: 'state-moments', type: 'state', step: 2, forge: float(`v.${VALUE}`, -1e-3) },
  { what: 'powers of another step', code: 'state-power', type: 'state', step: 2, forge: metadata({ power1: '0.9', power2: '0.999' }) },
  { what: 'a power of zero, by which a step would be endless', code: 'state-power', type: 'state', step: 2, forge: metadata({ power2: '0' }) },
  { what: 'activations of 1e30', code: 'activation-range', type: 'activation', step: 1, forge: all('activation', 1e30) },
  { what: 'activations of 1e30 to a set that all share', code: 'activation-range', type: 'activation', step: 1, scheme: 'sfl', forge: all('activation', 1e30) },
  { what: 'one activation of 100', code: 'activation-range', type: 'activation', step: 4, forge: float('activation', -100) },
  {
    what: 'a scale of 2^100', code: 'activation-range', type: 'activation', step: 1, changes: { codec: 'f16' },
    forge: (bytes) => forgeFloats(bytes, 'activation.scale', (values) => { for (let i = 0; i < 100; i++) values[0] *= 2 }),
  },
  { what: 'scales of 1e36', code: 'activation-range', type: 'activation', step: 1, changes: { codec: 'int8' }, forge: all('activation.scale', 1e36) },
  { what: 'a loss of 1e308', code: 'report-loss', type: 'report', step: 1, scheme: 'fl', forge: metadata({ loss: '1e308' }) },
  { what: 'a loss below zero', code: 'report-loss', type: 'report', step: 1, scheme: 'fl', forge: metadata({ loss: '-1' }) },
]

for (const lie of ABSURD) {
  test(`${lie.what}: refused with ${lie.code}`, () => expectRefused(lie))
}

test('no honest activation, in any codec, is over its limit', async () => {
  for (const codec of ['f32', 'f16', 'int8'] as const) {
    for (const scheme of ['kerf', 'splitlora'] as const) {
      const contract = { ...contractOf(scheme), codec }
      const outcome = await train({ contract, options: { activationMax: await limitsOf(contract) } })
      expectBits(outcome.vector, (await train({ contract })).vector, `${scheme} ${codec}`)
      assert.equal(outcome.endings, ['done', 'done', 'done'])
    }
  }
})

test('honest steps stay within reach at any rate, with weight decay, and over long intervals', async () => {
  for (const changes of [{ learningRate: 1 }, { learningRate: 1e-6 }, { weightDecay: 0.5, learningRate: 0.1 }, { steps: 60, interval: 50 }]) {
    for (const scheme of ['kerf', 'sl', 'splitlora', 'fl'] as const) {
      const outcome = await train({ contract: { ...contractOf(scheme), ...changes } })
      assert.equal(outcome.endings, ['done', 'done', 'done'], JSON.stringify(changes))
      assert.ok(outcome.devices.every(({ drops }) => drops === 0))
    }
  }
})

/** A liar at every interval, whose uploads are changed by `forge`; the honest do their own work beside it. */
async function trainBeside(forge: (bytes: Uint8Array) => Uint8Array): Promise<Outcome> {
  return train({ contract: { ...contractOf('kerf'), checkpointEvery: 0 } }, ({ client, direction, type, bytes }) => (
    client === 1 && direction === 'up' && type === 'adapter' ? forge(bytes) : undefined))
}

test('a liar within reach moves the average by its share of that reach, and no further', async () => {
  const honest = (await outcomeOf('kerf')).vector
  const lied = await trainBeside((bytes) => forgeFloats(bytes, QUERY, (values) => { values.forEach((value, i) => { values[i] = 0.999 * value }) }))
  assert.equal(lied.endings, ['done', 'done', 'done'])
  const furthest = honest.reduce((most, value, i) => Math.max(most, Math.abs(value - lied.vector[i])), 0)
  assert.ok(furthest > 0 && furthest < 4 * 0.031, String(furthest))
})

test('a label of which its share has none is a lie', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  void scene.join(0)
  const counts: Watch = ({ type, bytes }) => (type === 'ready' ? forgeContent(bytes, (body) => {
    const told = JSON.parse(body.metadata.share) as { samples: number }
    body.metadata.share = JSON.stringify({ ...told, labelCounts: [told.samples, 0, 0] })
  }) : undefined)
  const liar = scene.join(1, { watch: counts })
  void scene.join(2)
  assert.is(codeOf(await liar), 'activation-labels')
  await scene.wait(DEADLINE_MS)
  await scene.finish()
})

test('claimed samples weigh no more than the run can show', async () => {
  const contract = { ...contractOf('kerf'), checkpointEvery: 0 }
  const claim = (samples: number): Watch => ({ client, type, bytes }) => (client === 1 && type === 'ready' ? forgeContent(bytes, (body) => {
    const told = JSON.parse(body.metadata.share) as object
    body.metadata.share = JSON.stringify({ ...told, samples, labelCounts: [samples - 2, 1, 1] })
  }) : undefined)
  const options = { samplesMax: contract.steps * contract.batch }
  const lied = await train({ contract, options }, claim(Number.MAX_SAFE_INTEGER))
  expectBits(lied.vector, (await train({ contract, options }, claim(options.samplesMax))).vector)
  assert.is(lied.devices[1].samples, options.samplesMax)
  assert.is(lied.events.filter((event) => event.startsWith('1 claims')).length, 1)
  expectBits((await train({ contract, options })).vector, (await train({ contract })).vector, 'honest')
})

const STATS: readonly [string, string][] = [
  ['spans of 1e308', JSON.stringify({ computeMs: 1e308, waitMs: -1e308, spans: [{ kind: 'wait', beginMs: -1e308, endMs: 1e308 }] })],
  ['times below zero', JSON.stringify({ computeMs: -5, waitMs: 1, spans: [] })],
  ['more time than the run took', JSON.stringify({ computeMs: 1e6, waitMs: 1e6, spans: [] })],
  ['a span that ends before it begins', JSON.stringify({ computeMs: 0, waitMs: 0, spans: [{ kind: 'wait', beginMs: 1, endMs: 0 }] })],
  ['a span before the run', JSON.stringify({ computeMs: 0, waitMs: 0, spans: [{ kind: 'wait', beginMs: -1e7, endMs: 0 }] })],
  ['ten thousand spans', JSON.stringify({ computeMs: 0, waitMs: 0, spans: Array.from({ length: 1000 }, () => ({ kind: 'wait', beginMs: 0, endMs: 0 })) })],
  ['spans that are none', JSON.stringify({ computeMs: 0, waitMs: 0, spans: [null] })],
  ['nothing that can be read', '{'],
]

test('what a device says of itself and can\'t be is left out, and the others\' stays', async () => {
  const contract = contractOf('kerf')
  for (const [what, stats] of STATS) {
    const outcome = await train({ contract }, ({ client, type, direction, bytes }) => {
      if (client !== 1 || direction !== 'up') return
      if (type === 'bye') return forgeContent(bytes, (body) => { body.metadata.stats = stats })
      if (type === 'ready') return share({ memoryBytes: Number.MAX_SAFE_INTEGER })(bytes)
    })
    assert.ok(outcome.timeline.every(({ party, beginMs, endMs }) => party !== 'device 1' && beginMs >= 0 && endMs < 1e6), what)
    assert.ok(outcome.timeline.some(({ party }) => party === 'device 0'), what)
    assert.ok(Number.isNaN(outcome.devices[1].memoryBytes), what)
    assert.ok(outcome.devices[0].memoryBytes > 0)
    for (const time of [outcome.devices[1].computeMs, outcome.devices[1].waitMs]) assert.not.ok(Math.abs(time) > 1e3, what)
    expectBits(outcome.vector, (await outcomeOf('kerf')).vector, what)
  }
})

/** What a device says of its share, with some of it changed. */
function share(changes: Record<string, unknown>): Forge {
  return (bytes) => forgeContent(bytes, (body) => { body.metadata.share = JSON.stringify({ ...JSON.parse(body.metadata.share) as object, ...changes }) })
}

const GREETINGS: readonly Lie[] = [
  ...['', 'nonsense', 'null', '[]', '7', '"share"', '{}'].map((text): Lie =>
    ({ what: `share ${text}`, code: 'share', type: 'ready', step: 0, forge: metadata({ share: text }) })),
  ...[
    { samples: 0 }, { samples: 1.5 }, { samples: '8' }, { rows: 2 }, { rows: 1000 }, { sequences: 0 }, { sequences: 4 }, { longest: 13 },
    { memoryBytes: null }, { labelCounts: 'many' }, { labelCounts: [8] }, { labelCounts: [1, 1, 1] }, { labelCounts: [9, -1, 0] },
    { labelCounts: ['<b>', 0, 8] }, { samples: 2 ** 60 },
  ].map((changes): Lie => ({ what: `share with ${JSON.stringify(changes)}`, code: 'share', type: 'ready', step: 0, forge: share(changes) })),
  { what: 'ready without a share', code: 'share', type: 'ready', step: 0, forge: (bytes) => forgeContent(bytes, (body) => { body.metadata = {} }) },
  { what: 'work before it is ready', code: 'frame-type-unexpected', type: 'ready', step: 0, forge: (bytes) => forgeType(bytes, 'activation') },
  { what: 'ready of another client', code: 'frame-client', type: 'ready', step: 0, forge: number('client', () => 2) },
  { what: 'no hello', code: 'frame-type-unexpected', type: 'hello', step: 0, forge: (bytes) => forgeType(bytes, 'ready') },
  { what: 'hello of a later step', code: 'frame-step-future', type: 'hello', step: 0, forge: number('step', () => 1) },
  {
    what: 'hello with tensors', code: 'frame-extra-tensor', type: 'hello', step: 0,
    forge: (bytes) => forgeContent(bytes, ({ tensors }) => { tensors.set('a', { name: 'a', dtype: 'I32', shape: [1], data: new Uint8Array(4) }) }),
  },
  { what: 'hello without a name', code: 'client-name', type: 'hello', step: 0, forge: metadata({ name: '' }) },
  { what: 'hello with an endless name', code: 'client-name', type: 'hello', step: 0, forge: metadata({ name: 'x'.repeat(NAME_CHARS_MAX + 1) }) },
  { what: 'a taken name', code: 'client-taken', type: 'hello', step: 0, forge: metadata({ name: 'device 0' }) },
  { what: 'a taken number', code: 'client-taken', type: 'hello', step: 0, forge: metadata({ client: '0' }) },
  ...['3', '-1', '0.5', 'one', '1e99', '__proto__'].map((client): Lie =>
    ({ what: `client ${client}`, code: 'client-unknown', type: 'hello', step: 0, forge: metadata({ client }) })),
]

test('a greeting that lies is refused by name, and the number stays free for the honest', async () => {
  for (const lie of GREETINGS) {
    const scene = await openScene({ contract: contractOf('kerf') })
    const honest = [scene.join(0)]
    const refused = await scene.join(1, { name: 'a liar', watch: lieOnce(lie) })
    assert.is(codeOf(refused), lie.code, `${lie.what}: ${String(refused)}`)
    honest.push(scene.join(1), scene.join(2))
    expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector, lie.what)
    assert.equal(await Promise.all(honest), ['done', 'done', 'done'], lie.what)
  }
})

async function withinRun(lie: (scene: Scene) => Promise<void>): Promise<void> {
  const scene = await openScene({ contract: contractOf('kerf') })
  let met = false
  const slow: Watch = ({ direction, type, step }) => { if (direction === 'up' && type === 'activation' && step === 4) met = true }
  const honest = [scene.join(0, { watch: slow }), scene.join(1), scene.join(2)]
  await scene.until(() => met, 'to reach step 4')
  await lie(scene)
  expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector)
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
}

test('a stranger within a run: a taken name, a taken number, no free number', () => withinRun(async (scene) => {
  assert.is(codeOf(await scene.join(1, { name: 'device 1' })), 'client-taken')
  assert.is(codeOf(await scene.join(1, { name: 'another' })), 'client-taken')
  assert.is(codeOf(await scene.join(1, { name: 'another', client: null })), 'client-unknown')
}))

test('a name that needs escapes does not break the error that quotes it', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const honest = [scene.join(0, { name: '\u0001'.repeat(NAME_CHARS_MAX) })]
  assert.is(codeOf(await scene.join(0)), 'client-taken')
  assert.is(codeOf(await scene.join(0, { name: '\u{1f600}'.repeat(NAME_CHARS_MAX / 2) })), 'client-taken')
  honest.push(scene.join(1), scene.join(2))
  await scene.finish()
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
})

test('a device with another model refuses the run itself; one with other data is refused when it comes back', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const strange = await scene.join(1, { provide: (provisions) => ({ ...provisions, fingerprint: 1 }) })
  assert.is(codeOf(strange), 'device-model')
  const honest = [scene.join(0), scene.join(2)]
  assert.is(await scene.join(1, { watch: ({ type, step }) => (type === 'activation' && step === 1 ? 'cut' : undefined) }), 'lost')
  assert.is(codeOf(await scene.join(1, { provide: (provisions) => ({ ...provisions, data: makeShares(3)[2] }) })), 'share-changed')
  honest.push(scene.join(1))
  expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector)
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
})

test('a frame of a dead connection is refused on the new one', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const honest = [scene.join(0), scene.join(2)]
  let old: Uint8Array | undefined
  await scene.join(1, { watch: ({ type, step, bytes }) => { if (type === 'activation' && step === 0) { old = bytes; return 'cut' } } })
  const replay = await scene.join(1, { watch: ({ type, step }) => (type === 'activation' && step === 0 ? old : undefined) })
  assert.is(codeOf(replay), 'frame-epoch')
  honest.push(scene.join(1))
  expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector)
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
})

test('work that comes back before its order is refused, for its step may be another by then', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const honest = [scene.join(0), scene.join(2)]
  let old: Uint8Array | undefined
  await scene.join(1, { watch: ({ type, step, bytes }) => { if (type === 'activation' && step === 1) { old = bytes; return 'cut' } } })
  const renew = (bytes: Uint8Array) => forgeNumber(forgeNumber(bytes, 'epoch', (epoch) => epoch + 1), 'sequence', () => 2)
  const early = await scene.join(1, { watch: ({ type, bytes }) => (type === 'ready' ? [bytes, renew(old!)] : undefined) })
  assert.is(codeOf(early), 'frame-type-unexpected')
  honest.push(scene.join(1))
  expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector)
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
})

test('a liar who does not come back is missing from its interval and no more', async () => {
  for (const scheme of ['kerf', 'sfl', 'fl'] as const) {
    const contract = { ...contractOf(scheme), checkpointEvery: 0 }
    const scene = await openScene({ contract })
    const honest = [scene.join(0), scene.join(2)]
    const lie: Lie = { what: '', code: '', type: 'adapter', step: 6, forge: float(QUERY, NaN) }
    assert.is(codeOf(await scene.join(1, { watch: lieOnce(lie) })), 'frame-not-finite')
    await scene.wait(DEADLINE_MS)
    const expected = await trainFederated(contract, makeShares(3), await makeInitial(contract.seed), (client, begin) => client !== 1 || begin === 0)
    expectBits((await scene.finish()).vector, expected, scheme)
    assert.equal(await Promise.all(honest), ['done', 'done'])
  }
})

test('splitlora: values that overflow do not reach the set that all share', async () => {
  const contract = { ...contractOf('splitlora'), checkpointEvery: 0 }
  const scene = await openScene({ contract })
  const honest = [scene.join(0), scene.join(2)]
  const lie: Lie = { what: '', code: '', type: 'activation', step: 1, forge: (bytes) => forgeFloats(bytes, 'activation', (values) => values.fill(-3e38)) }
  assert.is(codeOf(await scene.join(1, { watch: lieOnce(lie) })), 'step-finite')
  await scene.wait(DEADLINE_MS)
  assert.ok((await scene.finish()).vector.every(Number.isFinite))
  assert.equal(await Promise.all(honest), ['done', 'done'])
})

test('a server that lies is refused by its device', async () => {
  const lies: Lie[] = [
    { what: 'NaN', code: 'frame-not-finite', type: 'gradient', step: 1, direction: 'down', forge: float('gradient', NaN) },
    { what: 'other rows', code: 'codec-shape', type: 'gradient', step: 1, direction: 'down', forge: shape('gradient', ([rows]) => [rows - 1, C]) },
    { what: 'a gradient of a step past', code: 'frame-step-past', type: 'gradient', step: 1, direction: 'down', forge: number('step', () => 0) },
    { what: 'a gradient again', code: 'frame-step-past', type: 'gradient', step: 1, direction: 'down', forge: twice((bytes) => bytes) },
    { what: 'an adapter with NaN', code: 'frame-not-finite', type: 'adapter', step: 3, direction: 'down', forge: float(QUERY, NaN) },
    { what: 'an order beyond the run', code: 'device-until', type: 'adapter', step: 3, direction: 'down', forge: metadata({ until: '7' }) },
    { what: 'an order without an end', code: 'device-until', type: 'adapter', step: 3, direction: 'down', forge: metadata({ until: 'x' }) },
    { what: 'a contract that is none', code: 'contract', type: 'welcome', step: 0, direction: 'down', forge: metadata({ contract: 'null' }) },
    { what: 'a client without a cut', code: 'device-cut', type: 'welcome', step: 0, direction: 'down', forge: number('client', () => 7) },
  ]
  for (const lie of lies) await expectRefused(lie)
})

/** One to three bytes of the prelude or the header turned; mostly with CRCs put right. Values may be anything finite, so they stay. */
function turnBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset + PRELUDE_BYTES).getBigUint64(0, true))
  const turned = bytes.slice()
  for (let count = 1 + random.below(3); count > 0; count--) turned[random.below(PRELUDE_BYTES + header)] = random.below(256)
  return random.below(4) === 0 ? turned : forgeBody(turned, turned.slice(PRELUDE_BYTES))
}

test('bytes turned at random: an error with a name, and never one of the server itself', async () => {
  const codes = new Set<string>()
  const random = createRandom(9, 'mask')
  for (let round = 0; round < 15; round++) {
    const scene = await openScene({ contract: contractOf('kerf') })
    const honest = [scene.join(0), scene.join(2)]
    for (let attempt = 0; attempt < RETURNS_MAX; attempt++) {
      const target = (['hello', 'ready', 'activation', 'activation', 'state', 'adapter'] as const)[random.below(6)]
      let turned = false
      const watch: Watch = ({ direction, type, bytes }) => {
        if (turned || direction !== 'up' || type !== target) return
        turned = true
        return turnBytes(bytes, random)
      }
      const ending = await Promise.race([scene.join(1, { watch }), scene.run.result.then((): Ending => 'done')])
      if (ending === 'done') break
      codes.add(codeOf(ending))
    }
    honest.push(scene.join(1))
    expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector, `round ${round}`)
    await Promise.all(honest)
  }
  assert.not.ok(codes.has('server'), [...codes].join(', '))
  assert.ok(codes.size > 8, [...codes].join(', '))
})

test('a flood closes the link and nothing else', async () => {
  const scene = await openScene({ contract: contractOf('kerf') })
  const honest = [scene.join(0), scene.join(2)]
  const flood: Lie = { what: 'a flood', code: '', type: 'activation', step: 1, forge: (bytes) => new Array<Uint8Array>(40).fill(bytes) }
  const ending = await scene.join(1, { watch: lieOnce(flood) })
  assert.ok(ending === 'lost' || codeOf(ending) === 'frame-sequence-replayed', codeOf(ending))
  honest.push(scene.join(1))
  expectBits((await scene.finish()).vector, (await outcomeOf('kerf')).vector)
  assert.equal(await Promise.all(honest), ['done', 'done', 'done'])
})

test('strangers who say nothing, or nonsense, or break off, leave no trace', () => withinRun(async (scene) => {
  scene.connect(1)
  scene.connect(1).close()
  for (const bytes of [new Uint8Array(0), new Uint8Array(64), Uint8Array.of(1, 2, 3)]) {
    const link = scene.connect(1)
    link.send(bytes)
    const answer = await link.receive()
    assert.ok(answer && answer[AT.type] === 7)
    assert.is(await link.receive(), null)
  }
  const lone = scene.connect(1)
  lone.send(encodeFrame({ type: 'bye', run: 0, client: 0, epoch: 0, round: 0, step: 0, sequence: 0, tensors: [] }, scene.crc32c))
  assert.ok((await lone.receive())![AT.type] === 7)
}))

test.run()
