/** Warm-up, samples and median against a clock that each call moves by a known time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runBench } from '../../runtime/bench/bench.ts'
import type { MeasureOptions, Timer } from '../../runtime/bench/measure.ts'
import { QUICK, measure, measureTogether, median } from '../../runtime/bench/measure.ts'
import { drawWeights, presetConfig } from '../../runtime/bench/presets.ts'
import { KerfError } from '../../runtime/error.ts'
import { openKernelBuild } from '../kernels.ts'
import { refusalOf } from '../refusal.ts'

const OPTIONS: MeasureOptions = { warmMs: 100, warmMsMax: 1000, sampleMs: 20, samples: 5, samplesMin: 2, budgetMs: 1e9 }

/** `costMs` of each call by its number, on a clock that shows whole multiples of `gridMs`. */
function simulate(
  costMs: (call: number) => number, gridMs = 0,
): { timer: Timer; work: () => void; state: { now: number; calls: number; turns: number } } {
  const state = { now: 5e6, calls: 0, turns: 0 }
  const clock = () => (gridMs > 0 ? Math.floor(state.now / gridMs) * gridMs : state.now)
  const timer = { now: clock, turn: async () => { state.turns++ } }
  return { timer, state, work: () => { state.now += costMs(state.calls++) } }
}

const near = (actual: number, expected: number, share = 1e-4) =>
  assert.ok(Math.abs(actual - expected) <= share * expected, `${actual} for ${expected}`)

test('short work: samples of many calls, each long enough', async () => {
  const { timer, work, state } = simulate(() => 0.01)
  const timing = await measure(timer, work, OPTIONS)
  near(timing.ms, 0.01)
  near(timing.leastMs, 0.01)
  assert.is(timing.samples, 5)
  assert.ok(timing.calls >= 1999 && timing.calls <= 2002, String(timing.calls))
  assert.ok(state.calls * 0.01 >= 100 + 5 * 20 - 1)
  assert.ok(state.turns >= 5)
})

test('the warm-up outlasts a slow first tier', async () => {
  const { timer, work } = simulate((call) => (call < 400 ? 0.2 : 0.02))
  near((await measure(timer, work, OPTIONS)).ms, 0.02)
})

test('work that grows fast during the samples begins them anew', async () => {
  // The warm-up's 100 ms end in the slow tier; the first sample is the last of it.
  const { timer, work } = simulate((call) => (call < 1100 ? 0.1 : 0.001))
  near((await measure(timer, work, { ...OPTIONS, warmMsMax: 100 })).ms, 0.001)
})

test('the median leaves out what came between; the least is the fastest sample', async () => {
  // One call a sample: two of warm-up, then 40, 45, 300, 41, 500.
  const slow = new Map([[3, 45], [4, 300], [5, 41], [6, 500]])
  const timing = await measure(...args(simulate((call) => slow.get(call) ?? 40)))
  function args({ timer, work }: ReturnType<typeof simulate>) {
    return [timer, work, { ...OPTIONS, warmMs: 80 }] as const
  }
  assert.is(timing.calls, 1)
  near(timing.ms, 45)
  near(timing.leastMs, 40)
})

test('long work: one call of warm-up, as few samples as are enough', async () => {
  const { timer, work, state } = simulate(() => 3000)
  const timing = await measure(timer, work, { ...OPTIONS, budgetMs: 1500 })
  assert.equal(timing, { ms: 3000, leastMs: 3000, samples: 2, calls: 1 })
  assert.is(state.calls, 3)
})

test('works together: a sample of each in turn, so that a slow spell falls on both', async () => {
  const { timer, state } = simulate(() => 0)
  const order: string[] = []
  const slow = () => (state.now > 5e6 + 1000 ? 3 : 1)
  const works = [['a', 30], ['b', 60]].map(([name, ms]) => ({
    run() {
      order.push(name as string)
      state.now += (ms as number) * slow()
    },
  }))
  const [a, b] = await measureTogether(timer, works, { ...OPTIONS, samples: 21 })
  assert.match(order.join(''), /^a+b+(ab){21}$/)
  near(a.ms, 90)
  near(b.ms / a.ms, 2)
})

test('what runs before each call is not timed', async () => {
  const { timer, state } = simulate(() => 0)
  let ready = false, calls = 0
  const before = () => {
    ready = true
    state.now += 7
  }
  const run = () => {
    assert.ok(ready, 'made ready anew')
    ready = false
    calls++
    state.now += 3
  }
  const [timing] = await measureTogether(timer, [{ run, before }], OPTIONS)
  near(timing.ms, 3)
  assert.is(timing.calls, 7)
  assert.ok(calls >= 5 * 7)
})

test('a coarse clock: samples of many of its ticks', async () => {
  const { timer, work } = simulate(() => 0.003, 1)
  near((await measure(timer, work, OPTIONS)).ms, 0.003, 0.08)
})

test('a clock that stands still is refused', async () => {
  const error = await measure({ now: () => 7, turn: async () => {} }, () => {}, OPTIONS).then(() => null, (reason: unknown) => reason)
  assert.instance(error, KerfError)
  assert.is((error as KerfError).code, 'bench-clock')
})

test('median of odd and even counts, unsorted', () => {
  assert.is(median([9, 1, 10]), 9)
  assert.is(median([4, 100, 2, 3]), 4)
  assert.is(median([5]), 5)
})

test('a whole bench refuses a clock that stands still before it computes anything', async () => {
  const config = presetConfig('tiny')
  const input = {
    kernel: await openKernelBuild('simd'), kernelBytes: 1, host: { name: 'host', version: '0', machine: 'machine', memoryBytesMax: null },
    timer: { now: () => 7, turn: async () => {} }, options: QUICK, name: 'BERT-tiny', weights: drawWeights(), quick: true,
    shape: { config, labels: 2, adapter: { rank: 1, alpha: 1, targets: ['query'] }, cut: 1, batch: 1, length: 4 } as const,
    on: () => assert.unreachable(),
  }
  assert.is((await refusalOf(runBench(input))).code, 'bench-clock')
})

test.run()
