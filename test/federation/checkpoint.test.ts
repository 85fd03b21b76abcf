/** A checkpoint's file: it gives back what was put in, and refuses whatever was damaged or belongs to another run. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import type { Checkpoint } from '../../runtime/federation/checkpoint.ts'
import { decodeCheckpoint, encodeCheckpoint } from '../../runtime/federation/checkpoint.ts'
import type { SetState } from '../../runtime/model/optimizer.ts'
import { createRandom } from '../../runtime/random.ts'
import type { Brought } from '../../runtime/split/share.ts'
import type { Dtype } from '../../runtime/wire/safetensors.ts'
import { decodeSafetensors, encodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { refusal } from '../refusal.ts'
import { expectBits } from '../split/bits.ts'
import { openScene, train } from '../split/harness.ts'
import { layout, makeContract } from '../split/model.ts'
import { STRANGE } from '../split/strange.ts'
import { crc32c } from '../wire/crc32c.ts'

const KEPT = JSON.stringify({ scheme: 'kerf', steps: 8 })
const contract = makeContract({ cuts: [1, 2] })
const BROUGHT: readonly Brought[] = [
  { dataCrc: 0xffffffff, dtype: 'int8', profile: 'fast', samples: 8, labelCounts: [8, 0, 0], rows: 24, sequences: 3, longest: 8 },
  { samples: 5, labelCounts: [1, 2, 2], rows: 9, sequences: 3, longest: 3 },
]
const SHARED_COUNT = 99

function drawVector(seed: number, count = layout.count): Float32Array {
  const random = createRandom(seed, 'mask')
  return Float32Array.from({ length: count }, () => random.uniform() - 0.5)
}

function drawState(seed: number, count = layout.count): SetState {
  return { params: drawVector(seed, count), m: drawVector(seed + 1, count), v: drawVector(seed + 2, count), power1: 0.9 ** seed, power2: 0.999 ** seed }
}

const SAMPLES: Readonly<Record<string, Checkpoint>> = {
  'after an interval': { step: 6, turn: 0, base: drawVector(1), states: new Map(), shared: null },
  'within one': { step: 7, turn: 0, base: drawVector(1), states: new Map([[0, drawState(10)], [2, drawState(20)], [11, drawState(30)]]), shared: null },
  'between turns': { step: 6, turn: 2, base: drawVector(1), states: new Map(), shared: null },
  'with a shared set': { step: 7, turn: 0, base: drawVector(1), states: new Map([[1, drawState(10)]]), shared: drawState(40, SHARED_COUNT) },
}

function decode(bytes: Uint8Array, kept = KEPT): ReturnType<typeof decodeCheckpoint> {
  return decodeCheckpoint(bytes, layout, { kept, contract }, 'round.safetensors', crc32c)
}

function encode(checkpoint: Checkpoint, brought = BROUGHT): Uint8Array {
  return encodeCheckpoint(checkpoint, { kept: KEPT, brought }, crc32c)
}

function expectState(actual: SetState, expected: SetState, what: string): void {
  for (const part of ['params', 'm', 'v'] as const) expectBits(actual[part], expected[part], `${what}.${part}`)
  assert.is(actual.power1, expected.power1, what)
  assert.is(actual.power2, expected.power2, what)
}

for (const [what, checkpoint] of Object.entries(SAMPLES)) {
  test(`${what}: what was put in comes out, to the last bit`, () => {
    const bytes = encode(checkpoint)
    const back = decode(bytes)
    assert.is(back.step, checkpoint.step)
    assert.is(back.turn, checkpoint.turn)
    assert.equal(back.brought, BROUGHT)
    expectBits(back.base, checkpoint.base)
    assert.equal([...back.states.keys()], [...checkpoint.states.keys()])
    for (const [client, state] of checkpoint.states) expectState(back.states.get(client)!, state, `client ${client}`)
    assert.is(back.shared === null, checkpoint.shared === null)
    if (checkpoint.shared) expectState(back.shared!, checkpoint.shared, 'shared')
    assert.equal(encode(back, back.brought), bytes)
  })
}

/** The refusal's code, or none; anything but a KerfError is a failure. */
function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    assert.instance(error, KerfError, String(error))
    assert.match((error as KerfError).message, /^round\.safetensors/)
    return (error as KerfError).code
  }
  return 'none'
}

test('every byte counts: one that is turned anywhere is found', () => {
  const bytes = encode(SAMPLES['within one'])
  const headerEnd = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true))
  const places = [...Array(headerEnd).keys(), ...Array.from({ length: 60 }, (_, index) => headerEnd + index * 271), bytes.length - 1]
  for (const place of places) {
    const turned = bytes.slice()
    turned[place] ^= 1 << place % 8
    const code = codeOf(() => decode(turned))
    // A space of the header's padding may become another white space.
    assert.ok(code !== 'none' || place >= headerEnd - 8, `byte ${place}`)
  }
})

test('a file cut short, with more behind it, empty, or of another kind is refused', () => {
  const bytes = encode(SAMPLES['within one'])
  for (const length of [0, 7, 8, 100, bytes.length >> 1, bytes.length - 1]) assert.not.equal(codeOf(() => decode(bytes.slice(0, length))), 'none')
  assert.not.equal(codeOf(() => decode(Uint8Array.of(...bytes, 0))), 'none')
  assert.is(codeOf(() => decode(encodeSafetensors([], { contract: KEPT }))), 'checkpoint-crc')
  assert.is(codeOf(() => decode(encodeSafetensors([], {}))), 'checkpoint-crc')
})

test('another run is refused, and the setting that differs is named', () => {
  const bytes = encode(SAMPLES['after an interval'])
  const { code, message } = refusal(() => decode(bytes, JSON.stringify({ scheme: 'kerf', steps: 9 })))
  assert.is(code, 'checkpoint-run')
  assert.match(message, /round\.safetensors\.steps: expected 9 as in this call, got "?8/)
})

type Tensors = Map<string, { dtype: Dtype; shape: readonly number[]; data: Uint8Array }>

/** The same file with other tensors or metadata, its CRC put right. */
function reseal(change: (tensors: Tensors, metadata: Record<string, string>) => void): Uint8Array {
  const { tensors, metadata } = decodeSafetensors(encode(SAMPLES['within one']))
  const { crc: _, ...own } = metadata
  const changed: Tensors = new Map([...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data }]))
  change(changed, own)
  const list = [...changed].map(([name, tensor]) => ({ name, ...tensor }))
  return encodeSafetensors(list, { ...own, crc: String(crc32c(encodeSafetensors(list, own))) })
}

test('tensors and numbers that are missing or of another form are refused by name', () => {
  assert.is(codeOf(() => decode(reseal(() => {}))), 'none')
  assert.is(codeOf(() => decode(reseal((tensors) => { tensors.delete('base') }))), 'checkpoint-tensor')
  assert.is(codeOf(() => decode(reseal((tensors) => { tensors.delete('client.2.v') }))), 'checkpoint-tensor')
  assert.is(codeOf(() => decode(reseal((tensors) => { tensors.set('base', { dtype: 'F32', shape: [3], data: new Uint8Array(12) }) }))), 'checkpoint-tensor')
  assert.is(codeOf(() => decode(reseal((_, metadata) => { delete metadata.step }))), 'checkpoint-number')
  assert.is(codeOf(() => decode(reseal((_, metadata) => { metadata['power1.client.0'] = 'x' }))), 'checkpoint-number')
  assert.is(codeOf(() => decode(reseal((_, metadata) => { metadata.clients = '0,7' }))), 'checkpoint-tensor')
})

/** The same file, which says otherwise what devices bring. */
function resealBrought(text: string, dtype: Dtype = 'U8'): Uint8Array {
  const data = new TextEncoder().encode(text)
  return reseal((tensors) => { tensors.set('brought', { dtype, shape: [data.length], data }) })
}

test('what devices bring is refused by its field where it is none, of another run or missing', () => {
  assert.is(codeOf(() => decode(resealBrought(JSON.stringify(BROUGHT)))), 'none')
  const before = refusal(() => decode(reseal((tensors) => { tensors.delete('brought') })))
  assert.equal([before.code, before.field], ['checkpoint-run', 'round.safetensors.brought'])
  for (const text of ['', '[', '{}', 'null', '7', '[]', JSON.stringify(BROUGHT.slice(1)), JSON.stringify([...BROUGHT, BROUGHT[0]])]) {
    const { code, field } = refusal(() => decode(resealBrought(text)))
    assert.equal([code, field], ['checkpoint-brought', 'round.safetensors.brought'], text)
  }
  assert.is(refusal(() => decode(resealBrought(JSON.stringify(BROUGHT), 'I8'))).code, 'checkpoint-brought')
  for (const name of Object.keys(BROUGHT[0])) {
    for (const value of STRANGE) {
      const { code, field } = refusal(() => decode(resealBrought(JSON.stringify([BROUGHT[0], { ...BROUGHT[0], [name]: value }]))))
      assert.equal([code, field], ['checkpoint-brought', `round.safetensors.brought.1.${name}`], `${name}: ${JSON.stringify(value)}`)
    }
  }
  assert.is(codeOf(() => decode(resealBrought('[null, null]'))), 'config-type')
  assert.is(codeOf(() => decode(reseal((tensors) => { tensors.set('brought', { dtype: 'U8', shape: [1], data: Uint8Array.of(255) }) }))), 'text-utf8')
})

test('a resumed run begins each client where its checkpoint says', async () => {
  for (const [scheme, cuts] of [['kerf', [1, 2]], ['sl', [2, 1, 3]], ['splitlora', [1, 2]]] as const) {
    const contract = makeContract({ scheme, cuts, steps: 8, interval: 3, checkpointEvery: 1 })
    for (const [index, { bytes }] of (await train({ contract })).saves.entries()) {
      const scene = await openScene({ contract, resume: bytes })
      const endings = cuts.map((_, client) => scene.join(client))
      await scene.finish()
      await Promise.all(endings)
      cuts.forEach((_, client) => {
        const first = scene.steps.find((step) => step.client === client)?.step ?? contract.steps
        assert.is(scene.run.done(client), first, `${scheme}, save ${index}, client ${client}`)
      })
    }
  }
})

test.run()
