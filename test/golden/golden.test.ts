/** PyTorch, where it is installed, still computes the committed vectors; last bits may differ between processors. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { skipTest } from '../skip.ts'

const PYTHON = '/usr/bin/python3'
const SCRIPT = fileURLToPath(new URL('../../scripts/golden.py', import.meta.url))
const COMMITTED = new URL('./vectors.safetensors', import.meta.url)

const TOLERANCE = 1e-6
/** Two float32 runs, each within 6e-7 of the float64 run. */
const FORWARD_TOLERANCE = 2e-6
/** Below this stands rounding, such as the gradient of a bias on the keys. */
const NOISE = 1e-15

type Vectors = ReturnType<typeof decodeSafetensors>['tensors']

function readVectors(path: string | URL): Vectors {
  return decodeSafetensors(new Uint8Array(readFileSync(path)), 'golden').tensors
}

function valuesOf(vectors: Vectors, name: string): Float64Array {
  const { dtype, data } = vectors.get(name)!
  const { buffer } = new Uint8Array(data)
  if (dtype === 'F64') return new Float64Array(buffer)
  return Float64Array.from(dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer))
}

/** How far element i of `name` may be off: by its own magnitude in float64, by the largest in float32. */
function toleranceOf(name: string, dtype: string, expected: Float64Array): (index: number) => number {
  if (dtype === 'I32') return () => 0
  if (dtype === 'F64') return (index) => TOLERANCE * Math.abs(expected[index]) + NOISE
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0)
  const bound = (/^(mlm\.)?out\./.test(name) ? FORWARD_TOLERANCE : TOLERANCE) * largest + NOISE
  return () => bound
}

/** The first value of `committed` that `made` does not have, in words. */
function findDifference(made: Vectors, committed: Vectors): string | undefined {
  for (const [name, { dtype, shape }] of committed) {
    const form = `${dtype} [${shape}]`
    const found = made.has(name) ? `${made.get(name)!.dtype} [${made.get(name)!.shape}]` : 'none'
    if (found !== form) return `${name}: expected ${form}, got ${found}`
    const expected = valuesOf(committed, name)
    const values = valuesOf(made, name)
    const tolerance = toleranceOf(name, dtype, expected)
    const off = values.findIndex((value, index) => !(Math.abs(value - expected[index]) <= tolerance(index)))
    if (off >= 0) return `${name}[${off}]: expected ${expected[off]}, got ${values[off]}`
  }
  return undefined
}

test('the golden vectors, made once more', () => {
  if (spawnSync(PYTHON, ['-c', 'import torch']).status !== 0) return skipTest(`${PYTHON} has no torch`)
  const folder = mkdtempSync(join(tmpdir(), 'kerf-golden-'))
  try {
    const path = join(folder, 'vectors.safetensors')
    execFileSync(PYTHON, [SCRIPT, path])
    const made = readVectors(path)
    const committed = readVectors(COMMITTED)
    assert.equal([...made.keys()].sort(), [...committed.keys()].sort())
    assert.is(findDifference(made, committed), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a value off by more than the tolerance is seen', () => {
  const committed = readVectors(COMMITTED)
  for (const name of ['op.tanh', 'out.logits', 'in.ids', 'grad.classifier.weight']) {
    const changed = readVectors(COMMITTED)
    const { data } = changed.get(name)!
    data[data.length - 2] ^= 0x80
    assert.match(findDifference(changed, committed) ?? '', name)
  }
})

test.run()
