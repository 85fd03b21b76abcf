/** What the entries refuse, by the name of its field, and that a refusal changes nothing. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createMemory, loadKernel } from '../../runtime/package/kernel.ts'
import type { DeviceSettings } from '../../runtime/package/device.ts'
import { createLinkPair, joinRun, openDevice } from '../../runtime/package/device.ts'
import type { Model } from '../../runtime/package/model.ts'
import { openModel, sourceOf } from '../../runtime/package/model.ts'
import type { RunSettings, ServerSettings } from '../../runtime/package/server.ts'
import { openServer } from '../../runtime/package/server.ts'
import { crc32c, decodeSafetensors, encodeSafetensors } from '../../runtime/package/wire.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { formatConfig } from '../../runtime/model/config.ts'
import { checksumModel, checksumWeights } from '../../runtime/model/fingerprint.ts'
import { binaryOf, openKernelBuild } from '../kernels.ts'
import { refusal, refusalOf } from '../refusal.ts'
import { createTestClock } from '../split/clock.ts'
import { LABELS, adapter, config, makeSamples, weights } from '../split/model.ts'

const kernel = await openKernelBuild('simd')
const checksum = createChecksum(kernel)
const model: Model = { config, weights: checksumWeights(weights, config, checksum), fingerprint: checksumModel(config, checksum) }
const SHAPE: DeviceSettings = { cut: 2, adapter, rows: 12, sequences: 2, longest: 8 }
const BATCH = { offsets: Int32Array.of(0, 4, 7), ids: Int32Array.of(2, 7, 9, 3, 2, 5, 3) }
const RUN: RunSettings = { cuts: [1, 2], labels: LABELS, adapter, steps: 2, batch: 3, maxLength: 12 }

const open = (changes: Partial<RunSettings>, settings: Partial<ServerSettings> = {}) => (
  openServer({ kernel, model, clock: createTestClock(), run: { ...RUN, ...changes }, ...settings }))

test('CRC32C by table is that of RFC 3720, appendix B.4, and of the kernel', () => {
  const cases = [
    [new Uint8Array(32), 0x8a9136aa], [new Uint8Array(32).fill(0xff), 0x62a8ab43], [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ] as const
  for (const [bytes, crc] of cases) assert.is(crc32c(bytes), crc)
  for (const length of [0, 1, 63, 70_001]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 3))
    assert.is(crc32c(bytes), checksum(bytes) >>> 0)
  }
})

test('a kernel: a promise of a binary, a memory in whole pages, a binary of another kind', async () => {
  const loaded = await loadKernel(Promise.resolve(binaryOf('scalar')), { build: 'scalar', tile: '6x8' })
  assert.equal([loaded.build, loaded.tile], ['scalar', '6x8'])
  assert.is(createMemory(65_537).buffer.byteLength, 131_072)
  for (const bytes of [2 ** 32, -1, 1.5, NaN]) assert.is(refusal(() => createMemory(bytes)).code, 'memory-bytes', String(bytes))
  // (module)
  assert.is((await refusalOf(loadKernel(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)))).code, 'kernel.abi')
})

test('a model: by parts of its file, and refused where it is cut', async () => {
  const text = formatConfig({ ...config, labels: LABELS })
  const bytes = encodeSafetensors([{ name: 'pooler.dense.bias', dtype: 'F32', shape: [2], data: new Uint8Array(8) }])
  const { weights: held } = await openModel(kernel, text, sourceOf(bytes))
  assert.equal(held.names, ['pooler.dense.bias'])
  assert.is((await refusalOf(held.read('pooler.dense.bias', [3]))).code, 'weights-shape')
  assert.is((await refusalOf(openModel(kernel, text, bytes.subarray(0, 40)))).code, 'safetensors-header-cut')
  assert.is((await refusalOf(openModel(kernel, '{}', bytes))).code, 'config-unsupported')
})

test('a device: cuts and memory that can not be', async () => {
  for (const cut of [0, 4, 1.5, NaN]) assert.is((await refusalOf(openDevice(kernel, model, { ...SHAPE, cut }))).code, 'device-cut', String(cut))
  assert.is((await refusalOf(openDevice(kernel, model, { ...SHAPE, memoryBytes: 1000 }))).code, 'stage.memory')
})

test('a device: batches, gradients and adapters of another shape change nothing', async () => {
  const device = await openDevice(kernel, model, SHAPE)
  const first = await device.handOut()
  assert.is(await device.update(new Float32Array(7 * config.hiddenSize)), 'void')
  assert.is((await refusalOf(device.forward({ ...BATCH, ids: BATCH.ids.map((id) => id + 30) }))).code, 'batch.ids')
  const gradient = (await device.forward(BATCH)).slice()
  assert.is((await refusalOf(device.update(gradient.subarray(1)))).code, 'stage.gradient')
  await device.forward(BATCH)
  assert.is(await device.update(gradient.map(() => NaN)), 'overflow')
  assert.equal(await device.handOut(), first)

  const tensors = [...decodeSafetensors(first).tensors.values()]
  const cut = encodeSafetensors(tensors.slice(1)), wide = encodeSafetensors(tensors.map((one) => ({ ...one, shape: [...one.shape, 1] })))
  const strange = encodeSafetensors(tensors.map((one) => ({ ...one, data: one.data.map(() => 0xff) })))
  const wrong = [[cut, 'frame-missing-tensor'], [wide, 'frame-shape'], [strange, 'frame-not-finite'], [first.subarray(0, 99), 'safetensors-']] as const
  for (const [bytes, code] of wrong) assert.ok((await refusalOf(device.take(bytes))).code.startsWith(code), code)
  assert.equal(await device.handOut(), first)

  await device.forward(BATCH)
  assert.is(await device.update(gradient), 'updated')
  assert.not.equal(await device.handOut(), first)
  await device.take(first)
  assert.equal(await device.handOut(), first)
  assert.equal(await (await openDevice(kernel, model, { ...SHAPE, seed: 1 })).handOut().then(({ length }) => length), first.length)
  device.close()
})

test('a server: runs that can not be', async () => {
  for (const cuts of [[0], [1, 4], [1.5]]) assert.is((await refusalOf(open({ cuts }))).code, 'run-cuts', String(cuts))
  assert.is((await refusalOf(open({ cuts: [] }))).field, 'contract.cuts')
  for (const [name, value] of Object.entries({ steps: 0, batch: -1, interval: 1.5, learningRate: 0, seed: -1, maxLength: NaN })) {
    assert.is((await refusalOf(open({ [name]: value }))).field, `contract.${name}`)
  }
  assert.is((await refusalOf(open({ codec: 'zip' as 'f32' }))).code, 'codec-name')
  assert.is((await refusalOf(open({ scheme: 'splitlora' }, { scheduler: 'fifo' }))).code, 'run-scheduler')
  assert.ok((await refusalOf(open({}, { adapterModel: new Uint8Array(4) }))).code.startsWith('safetensors-'))
  assert.ok((await refusalOf(open({}, { resume: new Uint8Array(4) }))).code.length > 0)
})

test('a server that is stopped: its result and its devices are told why', async () => {
  const clock = createTestClock()
  const server = await open({}, { clock })
  const [near, far] = createLinkPair()
  void server.attend(far)
  const joined = joinRun({ kernel, model, data: makeSamples(5, 1), link: near, clock, name: 'one', progress: () => {} })
  for (let turn = 0; turn < 20; turn++) await clock.turn()
  const why = new Error('the power goes')
  server.stop(why)
  assert.is(await server.result.then(() => null, (error: unknown) => error), why)
  assert.match((await refusalOf(joined)).message, /^run: expected to reach its end/)
})

test.run()
