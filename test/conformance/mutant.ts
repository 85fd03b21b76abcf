/** Kernels that are wrong in one place: what a suite must catch. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const ASC = join(ROOT, 'node_modules/assemblyscript/bin/asc.js')

export type Mutant = {
  /** What is done wrong. */
  title: string
  build: 'scalar' | 'simd'
  file: string
  from: string
  to: string
  /** The first case that fails. */
  caught: RegExp
  /** The first case of the self-test that fails. */
  noticed: RegExp
}

export const MUTANTS: readonly Mutant[] = [
  {
    title: 'lanes are folded in another order', build: 'scalar', file: 'lanes.ts', from: '(s0 + s1) + (s2 + s3)', to: '(s0 + s2) + (s1 + s3)',
    caught: /^sumRow n=\d+: result\[0\]/, noticed: /^sumRow n=1021$/,
  },
  {
    title: 'a product sums from the end', build: 'scalar', file: 'matmul.ts',
    from: 'for (let pb = scratch; pb < end; pb += 16, pa += aStep) {',
    to: 'pa += usize(depth - 1) * aStep\n        for (let pb = end - 16; pb >= scratch; pb -= 16, pa -= aStep) {',
    caught: /^matmul N=1 O=\d+ I=\d+.*: out\[\d+\]/, noticed: /^matmul N=5/,
  },
  {
    title: 'the last of three elements behind a vector is left out', build: 'scalar', file: 'lanes.ts', from: 'if (tail > 2) s2 += d2 * d2', to: '',
    caught: /^layerNorm N=\d C=\d+: out\[\d\]/, noticed: /^layerNorm N=3 C=67$/,
  },
  {
    title: 'a vector loop leaves one element too few to the tail', build: 'simd', file: 'elementwise.ts',
    from: 'for (; out < end; out += 4, x += 4) store<f32>(out, load<f32>(out) + load<f32>(x))',
    to: 'for (; out + 4 < end; out += 4, x += 4) store<f32>(out, load<f32>(out) + load<f32>(x))',
    caught: /^add n=\d+: out\[\d+\]/, noticed: /^add n=67$/,
  },
  {
    title: 'a multiply and an add are rounded once', build: 'scalar', file: 'lanes.ts', from: 's0 += load<f32>(x) * load<f32>(y)\n    s1',
    to: 's0 = <f32>(<f64>load<f32>(x) * <f64>load<f32>(y) + <f64>s0)\n    s1', caught: /^dotRow n=\d+: result\[0\]/, noticed: /^dotRow n=1021$/,
  },
  {
    title: 'a sum is kept in f64', build: 'scalar', file: 'softmax.ts', from: '<f32>1 / sumRow(out, n)', to: '<f32>(1 / sumWide(out, n))',
    caught: /^softmax N=\d K=\d+.*: out\[\d+\]/, noticed: /^softmax N=5/,
  },
]

/** What the f64 mutant sums with. */
const SUM_WIDE = `
function sumWide(x: usize, n: i32): f64 {
  let s: f64 = 0
  for (let i = 0; i < n; i++) s += <f64>load<f32>(x + (usize(i) << 2))
  return s
}
`

/** The kernel with one replacement in one file, compiled without optimisation: bits do not depend on it. */
export function compileMutant({ build, file, from, to }: Mutant): Uint8Array<ArrayBuffer> {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-mutant-'))
  try {
    cpSync(join(ROOT, 'assembly'), join(folder, 'assembly'), { recursive: true })
    const path = join(folder, 'assembly', file)
    const source = readFileSync(path, 'utf8')
    assert.ok(source.includes(from), `${file}: expected ${from}`)
    writeFileSync(path, `${source.replace(from, to)}${to.includes('sumWide') ? SUM_WIDE : ''}`)
    const { status, stderr } = spawnSync(process.execPath, [
      ASC, 'assembly/index.ts', '--outFile', 'mutant.wasm', '--runtime', 'stub', '--importMemory', '--noAssert', '--use', 'abort=',
      build === 'simd' ? '--enable' : '--disable', 'simd',
    ], { cwd: folder, encoding: 'utf8' })
    assert.is(status, 0, stderr)
    return new Uint8Array(readFileSync(join(folder, 'mutant.wasm')))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
