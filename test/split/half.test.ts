/** The port of half a model, as a stage in this thread gives it: two halves are one model, and a step that can't hold never counts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ADAMW, freshState, sliceState } from '../../runtime/model/optimizer.ts'
import type { SetState } from '../../runtime/model/optimizer.ts'
import { prefixCount } from '../../runtime/model/layout.ts'
import type { FinishInput, FinishOutput, Half } from '../../runtime/split/half.ts'
import { openStageHalf } from '../../runtime/split/half.stage.ts'
import { openKernelBuild } from '../kernels.ts'
import { refusalOf } from '../refusal.ts'
import { expectBits, expectOtherBits } from './bits.ts'
import { LABELS, LAYERS, adapter, config, layout, makeInitial, weights } from './model.ts'

const CUT = 2
const OPTIMIZER = { ...ADAMW, learningRate: 1e-2 }
const offsets = Int32Array.of(0, 3, 8)
const ids = Int32Array.of(3, 4, 5, 6, 7, 8, 9, 10)
const labels = Int32Array.of(1, 2)
const initial = await makeInitial(5)

async function open(from: number, to: number, setsFrom: readonly number[] = [from]): Promise<Half> {
  let now = 0
  return openStageHalf(await openKernelBuild('simd'), {
    config, from, to, labels: LABELS.length, adapter, training: 'adapters', setsFrom, rows: ids.length, sequences: 2, longest: 8,
  }, weights, OPTIMIZER, () => now++)
}

function partOf(from: number, to: number): SetState {
  return sliceState(freshState(initial), prefixCount(layout, from), prefixCount(layout, to))
}

/** The server's half with two sets, and an activation for it. */
async function openUpper(): Promise<{ half: Half; activation: Float32Array }> {
  const [lower, half] = [await open(0, CUT), await open(CUT, LAYERS, [CUT, CUT])]
  await lower.write(0, partOf(0, CUT))
  for (const set of [0, 1]) await half.write(set, partOf(CUT, LAYERS))
  const { activation } = await lower.forward({ set: 0, begin: 0, offsets, ids })
  return { half, activation: activation!.slice() }
}

async function expectUnchanged(half: Half, set: number, expected: SetState): Promise<void> {
  const state = await half.read(set)
  for (const part of ['params', 'm', 'v'] as const) expectBits(state[part], expected[part], part)
  assert.equal([state.power1, state.power2], [expected.power1, expected.power2])
}

function expectVoid({ end, loss, gradient }: FinishOutput): void {
  assert.equal([end, loss, gradient], ['void', NaN, null])
}

test('device half and server half together learn what the whole model learns, through the same port', async () => {
  const [whole, lower, upper] = [await open(0, LAYERS), await open(0, CUT), await open(CUT, LAYERS)]
  for (const [half, from, to] of [[whole, 0, LAYERS], [lower, 0, CUT], [upper, CUT, LAYERS]] as const) await half.write(0, partOf(from, to))
  for (let step = 0; step < 3; step++) {
    assert.is((await whole.forward({ set: 0, begin: 0, offsets, ids })).activation, null)
    const expected = await whole.finish({ labels })
    const { activation } = await lower.forward({ set: 0, begin: 0, offsets, ids })
    assert.is((await upper.forward({ set: 0, begin: CUT, offsets, activation: activation! })).activation, null)
    const served = await upper.finish({ labels })
    const finished = await lower.finish({ gradient: served.gradient! })
    assert.equal([expected.end, served.end, finished.end], ['updated', 'updated', 'updated'])
    assert.is(served.loss, expected.loss)
    assert.equal([expected.gradient, finished.loss, finished.gradient], [null, null, null])
  }
  const { params } = await whole.read(0)
  expectBits((await lower.read(0)).params, params.slice(0, prefixCount(layout, CUT)))
  expectBits((await upper.read(0)).params, params.slice(prefixCount(layout, CUT)))
})

test('what it returns is borrowed: the next step overwrites it; a set that is read is a copy', async () => {
  const { half, activation } = await openUpper()
  const step = async () => {
    await half.forward({ set: 0, begin: CUT, offsets, activation })
    return (await half.finish({ labels })).gradient!
  }
  const first = await step()
  const [kept, read] = [first.slice(), (await half.read(0)).params]
  const before = read.slice()
  const second = await step()
  expectBits(first, second)
  expectOtherBits(first, kept)
  expectBits(read, before)
})

test('a set written between forward and finish makes the step void and stays as it was written', async () => {
  const { half, activation } = await openUpper()
  const fresh = partOf(CUT, LAYERS)
  await half.forward({ set: 0, begin: CUT, offsets, activation })
  await half.write(0, fresh)
  expectVoid(await half.finish({ labels }))
  await expectUnchanged(half, 0, fresh)
})

test('another set written in between does no harm', async () => {
  const { half, activation } = await openUpper()
  await half.forward({ set: 0, begin: CUT, offsets, activation })
  await half.finish({ labels })
  const expected = await half.read(0)
  await half.forward({ set: 1, begin: CUT, offsets, activation })
  await half.write(0, partOf(CUT, LAYERS))
  assert.is((await half.finish({ labels })).end, 'updated')
  await expectUnchanged(half, 1, expected)
  await expectUnchanged(half, 0, partOf(CUT, LAYERS))
})

test('finish without a forward, or a second time, is void', async () => {
  const { half, activation } = await openUpper()
  expectVoid(await half.finish({ labels }))
  await half.forward({ set: 0, begin: CUT, offsets, activation })
  assert.is((await half.finish({ labels })).end, 'updated')
  const after = await half.read(0)
  expectVoid(await half.finish({ labels }))
  await expectUnchanged(half, 0, after)
})

test('a forward that is refused leaves no older batch to finish', async () => {
  const { half, activation } = await openUpper()
  await half.forward({ set: 0, begin: CUT, offsets, activation })
  assert.is((await refusalOf(half.forward({ set: 1, begin: CUT, offsets, activation: activation.subarray(1) }))).code, 'batch.activation')
  expectVoid(await half.finish({ labels }))
  for (const set of [0, 1]) await expectUnchanged(half, set, partOf(CUT, LAYERS))
})

test('a finish that is refused ends the step, whatever it was', async () => {
  const { half, activation } = await openUpper()
  const wrong: [FinishInput, string][] = [
    [{ gradient: activation }, 'half-finish'],
    [{ labels: Int32Array.of(1) }, 'batch.labels'],
    [{ labels: Int32Array.of(1, LABELS.length) }, 'batch.labels'],
  ]
  for (const [input, code] of wrong) {
    await half.forward({ set: 0, begin: CUT, offsets, activation })
    assert.is((await refusalOf(half.finish(input))).code, code)
    expectVoid(await half.finish({ labels }))
  }
  await expectUnchanged(half, 0, partOf(CUT, LAYERS))
})

test('a step that overflows leaves the set as it was, at either end of the cut', async () => {
  const { half, activation } = await openUpper()
  await half.forward({ set: 0, begin: CUT, offsets, activation: activation.map(() => 3e38) })
  const above = await half.finish({ labels })
  assert.equal([above.end, above.loss, above.gradient], ['overflow', NaN, null])
  await expectUnchanged(half, 0, partOf(CUT, LAYERS))
  const lower = await open(0, CUT)
  await lower.write(0, partOf(0, CUT))
  await lower.forward({ set: 0, begin: 0, offsets, ids })
  const below = await lower.finish({ gradient: activation.map((_, index) => (index & 1 ? 3e38 : -3e38)) })
  assert.equal([below.end, below.loss, below.gradient], ['overflow', null, null])
  await expectUnchanged(lower, 0, partOf(0, CUT))
})

test('spans follow the clock it is given', async () => {
  const { half, activation } = await openUpper()
  const forward = await half.forward({ set: 0, begin: CUT, offsets, activation })
  const finish = await half.finish({ labels })
  assert.equal([forward.beginMs, forward.endMs, finish.beginMs, finish.endMs], [0, 1, 2, 3])
})

test.run()
