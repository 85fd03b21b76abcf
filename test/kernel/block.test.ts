/**
 * What a block promises beyond its numbers: it is its operations one after another, a
 * sequence's bits don't depend on its neighbours, and what is trained doesn't change them.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Addresses, Case, Slots } from '../../runtime/cases/case.ts'
import { output, scratch } from '../../runtime/cases/case.ts'
import { BLOCK_SIZES as TABLE_SIZES, backwardCase, forwardCase } from '../../runtime/cases/block.ts'
import type { BlockSizes } from '../../runtime/cases/block.ts'
import { draw, list, read } from '../../runtime/cases/source.ts'
import type { KernelExports } from '../../runtime/kernel/abi.ts'
import { BUILDS } from '../kernels.ts'
import { openArena, runCase, sameBytes } from './arena.ts'
import type { Outcome } from './arena.ts'

/** Those whose records are not a model's own size: what is shown here holds for any. */
const BLOCK_SIZES = TABLE_SIZES.filter(({ large }) => !large)

const rowsOf = ({ lengths }: BlockSizes) => lengths.reduce((sum, length) => sum + length, 0)

/** The tensors that both outcomes hold, bit for bit. */
function checkShared(actual: Outcome, expected: Outcome, what: string): void {
  const shared = [...actual.bytes.keys()].filter((name) => expected.bytes.has(name))
  assert.ok(shared.length > 0, `${what}: tensors to compare`)
  for (const name of shared) assert.ok(sameBytes(actual.bytes.get(name)!, expected.bytes.get(name)!), `${what}: ${name}`)
}

/** blockForward by the operations it consists of, after the formula in assembly/block.ts. */
function forwardByOperations({ lengths, C, H, F, eps }: BlockSizes, N: number): Case['call'] {
  const S = lengths.length, T = Math.max(...lengths)
  return (kernel: KernelExports, at: Addresses) => {
    const saved = (field: string) => at[`saved ${field}`] ?? 0
    const linear = (y: number, low: string, x: number, layer: string) =>
      kernel.linear(y, saved(low), x, at[`record ${layer}`], N, at.scratch)
    const norm = (out: number, stats: string, sum: string, layer: string) =>
      kernel.layerNorm(out, saved(stats), saved(sum), at[`${layer}.gain`], at[`${layer}.bias`], N, C, eps)
    linear(saved('query'), 'loraQuery', saved('x'), 'query')
    linear(saved('key'), 'loraKey', saved('x'), 'key')
    linear(saved('value'), 'loraValue', saved('x'), 'value')
    kernel.attention(saved('context'), saved('query'), saved('key'), saved('value'), at.offsets, S, H, C / H, T, at.scratch)
    linear(saved('sum1'), 'loraAttention', saved('context'), 'attention')
    kernel.add(saved('sum1'), saved('x'), N * C)
    norm(saved('hidden'), 'stats1', 'sum1', 'norm1')
    linear(saved('up'), 'loraUp', saved('hidden'), 'up')
    kernel.gelu(at.activated, saved('up'), N * F, at.scratch)
    linear(saved('sum2'), 'loraDown', at.activated, 'down')
    kernel.add(saved('sum2'), saved('hidden'), N * C)
    norm(at.out, 'stats2', 'sum2', 'norm2')
  }
}

/** Room for the gradients between a block's operations. */
function betweenSlots({ C, F }: BlockSizes, N: number): Slots {
  return {
    between: output(N * C), inner: output(N * F), residual: output(N * C), dQuery: output(N * C), dKey: output(N * C), dValue: output(N * C),
    activated: output(N * F), row: scratch(() => 4 * C),
  }
}

function backwardByOperations({ lengths, C, H, F }: BlockSizes, N: number): Case['call'] {
  const S = lengths.length, T = Math.max(...lengths)
  return (kernel: KernelExports, at: Addresses) => {
    const saved = (field: string) => at[`saved ${field}`] ?? 0
    const linear = (dx: number, dy: number, x: number, low: string, layer: string, accumulate: 0 | 1) =>
      kernel.linearBackward(dx, dy, x, saved(low), at[`record ${layer}`], N, accumulate, at.scratch)
    const norm = (dx: number, dOut: number, stats: string, sum: string, layer: string) =>
      kernel.layerNormBackward(dx, at[`d ${layer}.gain`] ?? 0, at[`d ${layer}.bias`] ?? 0, dOut, saved(stats), saved(sum), at[`${layer}.gain`], N, C, at.row)
    kernel.blockForward(at.out, at.saved, at.block, at.offsets, N, S, T, at.scratch)
    norm(at.between, at.dOut, 'stats2', 'sum2', 'norm2')
    kernel.gelu(at.activated, saved('up'), N * F, at.scratch)
    linear(at.inner, at.between, at.activated, 'loraDown', 'down', 0)
    kernel.geluBackward(at.inner, at.inner, saved('up'), N * F, at.scratch)
    linear(at.between, at.inner, saved('hidden'), 'loraUp', 'up', 1)
    norm(at.residual, at.between, 'stats1', 'sum1', 'norm1')
    linear(at.between, at.residual, saved('context'), 'loraAttention', 'attention', 0)
    kernel.attentionBackward(at.dQuery, at.dKey, at.dValue, at.between, saved('query'), saved('key'), saved('value'), at.offsets, S, H, C / H, T, at.scratch)
    kernel.fill(at.dx, 0, N * C)
    kernel.add(at.dx, at.residual, N * C)
    linear(at.dx, at.dQuery, saved('x'), 'loraQuery', 'query', 1)
    linear(at.dx, at.dKey, saved('x'), 'loraKey', 'key', 1)
    linear(at.dx, at.dValue, saved('x'), 'loraValue', 'value', 1)
  }
}

for (const build of BUILDS) {
  const arena = await openArena(build)

  test(`${build}: a block is its operations, forward and backward`, () => {
    for (const sizes of BLOCK_SIZES) {
      const N = rowsOf(sizes)
      const forward = forwardCase(sizes), backward = backwardCase(sizes, 'all', true)
      const parted = { ...forward, slots: { ...forward.slots, activated: output(N * sizes.F) }, call: forwardByOperations(sizes, N) }
      checkShared(runCase(arena, parted), runCase(arena, forward), forward.sizes)
      const apart = { ...backward, slots: { ...backward.slots, ...betweenSlots(sizes, N) }, call: backwardByOperations(sizes, N) }
      checkShared(runCase(arena, apart), runCase(arena, backward), backward.sizes)
    }
  })

  test(`${build}: what is trained and whether dx is wanted change no gradient`, () => {
    for (const sizes of BLOCK_SIZES) {
      const all = runCase(arena, backwardCase(sizes, 'all', true))
      checkShared(runCase(arena, backwardCase(sizes, 'adapters', true)), all, 'adapters alone')
      if (sizes.R) checkShared(runCase(arena, backwardCase(sizes, 'adapters', false)), all, 'no dx')
    }
  })

  test(`${build}: a sequence has the same bits alone and in a batch`, () => {
    for (const sizes of BLOCK_SIZES.filter(({ lengths }) => lengths.length > 1)) {
      const { lengths, C } = sizes
      const x = read(draw(rowsOf(sizes) * C, 'x')), dOut = read(draw(rowsOf(sizes) * C, 'dOut'))
      const together = runCase(arena, forwardCase(sizes, list(x))).bytes.get('out')!
      const togetherBack = runCase(arena, backwardCase(sizes, 'adapters', true, { x: list(x), dOut: list(dOut) })).bytes.get('dx')!
      let row = 0
      for (const length of lengths) {
        const [begin, end] = [row * C, (row + length) * C]
        const single = { ...sizes, lengths: [length] }
        const alone = runCase(arena, forwardCase(single, list(x.slice(begin, end)))).bytes.get('out')!
        const given = { x: list(x.slice(begin, end)), dOut: list(dOut.slice(begin, end)) }
        const aloneBack = runCase(arena, backwardCase(single, 'adapters', true, given)).bytes.get('dx')!
        assert.ok(sameBytes(together.subarray(4 * begin, 4 * end), alone), `rows ${row} … of ${lengths}`)
        assert.ok(sameBytes(togetherBack.subarray(4 * begin, 4 * end), aloneBack), `gradient of rows ${row} … of ${lengths}`)
        row += length
      }
    }
  })
}

test.run()
