/** Reads `test/golden/vectors.safetensors`; its README says what stands there under which name. */
import { readFileSync } from 'node:fs'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import type { Config, Tensor } from './bert.ts'

const FILE = new URL('../golden/vectors.safetensors', import.meta.url)
const { tensors, metadata } = decodeSafetensors(new Uint8Array(readFileSync(FILE)), 'golden')

function entry(name: string) {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new Error(`golden.${name}: expected a tensor, got none`)
  // A copy, so that it starts at a multiple of 8; not slice(), which shares memory on a Node Buffer.
  return { ...tensor, buffer: new Uint8Array(tensor.data).buffer }
}

/** An I32 tensor. */
export function goldenIntegers(name: string): Int32Array {
  const { dtype, buffer } = entry(name)
  if (dtype !== 'I32') throw new Error(`golden.${name}.dtype: expected I32, got ${dtype}`)
  return new Int32Array(buffer)
}

/** An F32 or F64 tensor, in float64. */
export function goldenTensor(name: string): Tensor {
  const { dtype, shape, buffer } = entry(name)
  if (dtype === 'F64') return { shape, data: new Float64Array(buffer) }
  if (dtype === 'F32') return { shape, data: Float64Array.from(new Float32Array(buffer)) }
  throw new Error(`golden.${name}.dtype: expected F32 or F64, got ${dtype}`)
}

/** All tensors whose names begin with `prefix`, without it. */
export function goldenTensors(prefix: string): Map<string, Tensor> {
  const names = [...tensors.keys()].filter((name) => name.startsWith(prefix))
  return new Map(names.map((name) => [name.slice(prefix.length), goldenTensor(name)]))
}

/** A number from the file's metadata. */
export function goldenNumber(name: string): number {
  const value = Number(metadata[name])
  if (Number.isNaN(value)) throw new Error(`golden.metadata.${name}: expected a number, got ${metadata[name]}`)
  return value
}

/** The golden model's configuration. */
export const goldenConfig: Config = {
  layers: goldenNumber('layers'),
  heads: goldenNumber('heads'),
  layerNormEps: goldenNumber('layer_norm_eps'),
  loraScale: goldenNumber('lora_alpha') / goldenNumber('lora_rank'),
}
