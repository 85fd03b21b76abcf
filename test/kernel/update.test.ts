/** AdamW against PyTorch's steps, and what FedAvg promises of exactness. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { adamwArguments } from '../../runtime/cases/update.ts'
import { distance } from '../distance.ts'
import { BUILDS } from '../kernels.ts'
import { goldenNumber, goldenTensor } from '../oracle/golden.ts'
import { drawn, openArena } from './arena.ts'

const LARGEST = 3.4028234663852886e38

for (const build of BUILDS) {
  const { kernel, memory } = await openArena(build)
  const f32 = (address: number, count: number) => new Float32Array(memory.buffer, address, count)

  for (const [name, weightDecay] of [['plain', 0], ['decay', goldenNumber('adamw_weight_decay')]] as const) {
    const optimizer = {
      learningRate: goldenNumber('adamw_lr'), beta1: goldenNumber('adamw_beta1'), beta2: goldenNumber('adamw_beta2'),
      eps: goldenNumber('adamw_eps'), weightDecay,
    }
    test(`${build}: AdamW ${name}, three steps of PyTorch's`, () => {
      const { shape: [steps, n], data: gradients } = goldenTensor('adamw.in.gradient')
      const [p, m, v, g] = [0, 1, 2, 3].map((index) => 64 + 4 * n * index)
      f32(p, n).set(goldenTensor('adamw.in.parameter').data)
      f32(m, 2 * n).fill(0)
      for (let step = 1; step <= steps; step++) {
        const row = (values: Float64Array) => values.subarray((step - 1) * n, step * n)
        f32(g, n).set(row(gradients))
        kernel.adamw(p, m, v, g, n, ...adamwArguments(step, optimizer))
        for (const [tensor, address] of [['parameter', p], ['exp_avg', m], ['exp_avg_sq', v]] as const) {
          const expected = row(goldenTensor(`adamw.${name}.${tensor}`).data)
          // Element by element: the gradients span ten powers of ten.
          expected.forEach((value, i) => {
            const gap = distance([f32(address, n)[i]], [value])
            assert.ok(gap <= 1e-6, `${tensor}[${i}] after step ${step}: expected ${value}, got ${f32(address, n)[i]}`)
          })
        }
      }
    })
  }

  /** Σ weight·x / Σ weight by the kernel, the sums starting at `zero`. */
  const average = (parts: readonly { x: Float32Array; weight: number }[], zero = 0): Float32Array => {
    const n = parts[0].x.length
    const sum = 64, x = sum + 8 * n, out = x + 4 * n
    new Float64Array(memory.buffer, sum, n).fill(zero)
    for (const part of parts) {
      f32(x, n).set(part.x)
      kernel.averageAdd(sum, x, part.weight, n)
    }
    kernel.averageFinish(out, sum, parts.reduce((total, { weight }) => total + weight, 0), n)
    return f32(out, n).slice()
  }
  const bits = (values: Float32Array) => new Uint32Array(values.buffer.slice(0))
  const odd = Float32Array.of(0, 1.4e-45, -1.4e-45, 1e-40, LARGEST, -LARGEST, 1 / 3, 16777217, ...drawn(500, 'odd'))

  test(`${build}: one participant gets its own bits back, whatever its weight`, () => {
    for (const weight of [1, 3, 7, 977, 16000, 2 ** 29 - 1]) assert.equal(bits(average([{ x: odd, weight }])), bits(odd), `weight ${weight}`)
    const negative = Float32Array.of(-0, 0, -1)
    assert.equal(bits(average([{ x: negative, weight: 3 }], -0)), bits(negative), 'a sum from −0 keeps −0')
    assert.equal(bits(average([{ x: negative, weight: 3 }])), bits(Float32Array.of(0, 0, -1)), 'a sum from 0 does not')
  })

  test(`${build}: equal participants average to their own bits`, () => {
    const parts = [3, 5, 11, 160].map((weight) => ({ x: odd, weight }))
    assert.equal(bits(average(parts)), bits(odd))
  })

  test(`${build}: weights count`, () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => Float32Array.from(drawn(301, name)))
    const expected = a.map((value, i) => (100 * value + 1 * b[i] + 7 * c[i]) / 108)
    assert.equal(average([{ x: a, weight: 100 }, { x: b, weight: 1 }, { x: c, weight: 7 }]), expected)
    assert.equal(average([{ x: a, weight: 1 }, { x: b, weight: 0 }]), a)
    assert.equal([...average([{ x: Float32Array.of(1, 0), weight: 1 }, { x: Float32Array.of(0, 1), weight: 3 }])], [0.25, 0.75])
  })
}

test.run()
