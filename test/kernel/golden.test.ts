/** The operations against PyTorch's vectors, row by row where rows differ in scale. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { distance } from '../distance.ts'
import { BUILDS } from '../kernels.ts'
import { goldenConfig, goldenTensor } from '../oracle/golden.ts'
import { openArena } from './arena.ts'

const ADDRESS = 64

for (const build of BUILDS) {
  const { kernel, memory } = await openArena(build)
  /** Tensors one after another; a number reserves so many zeros. */
  const place = (...tensors: (Float64Array | number)[]): number[] => {
    let next = ADDRESS
    return tensors.map((tensor) => {
      const address = next
      const count = typeof tensor === 'number' ? tensor : tensor.length
      const view = new Float32Array(memory.buffer, address, count)
      if (typeof tensor === 'number') view.fill(0)
      else view.set(tensor)
      next += 4 * count
      return address
    })
  }
  const read = (address: number, count: number) => new Float32Array(memory.buffer, address, count).slice()
  const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string, floor = 0) => {
    const gap = distance(actual, expected, floor)
    assert.ok(gap <= tolerance, `${what}: expected within ${tolerance}, got ${gap}`)
  }
  const each = (f: (x: number) => number, x: Float64Array, expected: Float64Array, tolerance: number, floor = 0) =>
    x.forEach((value, i) => near([f(value)], [expected[i]], tolerance, `at ${value}`, floor))
  const rowsOf = (data: ArrayLike<number>, C: number) =>
    Array.from({ length: data.length / C }, (_, row) => Array.from(data).slice(row * C, (row + 1) * C))

  test(`${build}: exp, log, erf and tanh`, () => {
    each(kernel.exp32, goldenTensor('op.exp.in').data, goldenTensor('op.exp').data, 1.2e-7)
    each(kernel.exp64, goldenTensor('op.exp.in').data, goldenTensor('op.exp').data, 4.5e-16)
    each(kernel.log64, goldenTensor('op.log.in').data, goldenTensor('op.log').data, 4.5e-16)
    each(kernel.erf32, goldenTensor('op.points').data, goldenTensor('op.erf').data, 4.7e-7, 1)
    each(kernel.tanh32, goldenTensor('op.points').data, goldenTensor('op.tanh').data, 1.7e-7)
  })

  test(`${build}: gelu and its gradient`, () => {
    const points = goldenTensor('op.points').data
    const n = points.length
    const [out, dx, dOut, x, table] = place(n, n, new Float64Array(n).fill(1), points, kernel.tableScratchBytes() / 4)
    kernel.gelu(out, x, n, table)
    kernel.geluBackward(dx, dOut, x, n, table)
    near(read(out, n), goldenTensor('op.gelu').data, 1.25e-6, 'gelu', 1)
    near(read(dx, n), goldenTensor('op.gelu.grad').data, 5e-7, 'gradient', 1)
  })

  test(`${build}: softmax`, () => {
    const { shape: [N, K], data } = goldenTensor('op.softmax.in')
    const [out, x, table] = place(N * K, data, kernel.tableScratchBytes() / 4)
    kernel.softmax(out, x, N, K, table)
    const expected = rowsOf(goldenTensor('op.softmax').data, K)
    rowsOf(read(out, N * K), K).forEach((row, n) => near(row, expected[n], 1e-6, `row ${n}`))
  })

  test(`${build}: layerNorm and its gradients`, () => {
    const { shape: [N, C], data } = goldenTensor('op.layerNorm.in')
    const [gain, bias, dOut] = ['gain', 'bias', 'dOut'].map((name) => goldenTensor(`op.layerNorm.${name}`).data)
    const at = place(N * C, 2 * N, N * C, C, C, C, data, gain, bias, dOut)
    const [out, stats, dx, dGain, dBias, row, x, gainAt, biasAt, dOutAt] = at
    kernel.layerNorm(out, stats, x, gainAt, biasAt, N, C, goldenConfig.layerNormEps)
    kernel.layerNormBackward(dx, dGain, dBias, dOutAt, stats, x, gainAt, N, C, row)
    const [expected, gradient] = ['op.layerNorm', 'op.layerNorm.grad.in'].map((name) => rowsOf(goldenTensor(name).data, C))
    // In row 1 the mean is 100 deviations, which costs as many of f32's last places.
    const tolerance = (n: number) => (n === 1 ? 2e-5 : 2e-6)
    rowsOf(read(out, N * C), C).forEach((values, n) => near(values, expected[n], tolerance(n), `row ${n}`))
    rowsOf(read(dx, N * C), C).forEach((values, n) => near(values, gradient[n], tolerance(n), `gradient of row ${n}`))
    near(read(dGain, C), goldenTensor('op.layerNorm.grad.gain').data, 2e-5, 'gain')
    near(read(dBias, C), goldenTensor('op.layerNorm.grad.bias').data, 1e-6, 'bias')
  })
}

test.run()
