/**
 * An adapter set as one vector: the LoRA pairs block by block, then the classifier.
 * A device's part is a prefix of the full vector and the server's the rest, so that
 * cutting and joining sets are slices. R rank, P parameters.
 */
import { refuse } from '../error.ts'
import type { ModelConfig } from './config.ts'
import type { AdapterConfig } from './peft.ts'
import { adapterTensors } from './peft.ts'

/** `offset` in elements from the start of the vector; `block` is −1 for the classifier. */
export type LayoutEntry = { name: string; shape: readonly number[]; block: number; offset: number; count: number }

export type Layout = {
  entries: readonly LayoutEntry[]
  /** P, elements of the whole vector. */
  count: number
  /** Blocks [from, to) and, when to is the last, the classifier. */
  from: number
  to: number
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** The set of blocks [from, to), with the classifier when `to` is the model's last block. */
export function layoutOf(config: ModelConfig, adapter: AdapterConfig, labels: number, from: number, to: number): Layout {
  const entries: LayoutEntry[] = []
  let offset = 0
  for (const { name, shape, block } of adapterTensors(config, adapter, labels)) {
    const inside = block < 0 ? to === config.layers : block >= from && block < to
    if (!inside) continue
    const count = countOf(shape)
    entries.push({ name, shape, block, offset, count })
    offset += count
  }
  return { entries, count: offset, from, to }
}

/** Elements of the vector that blocks below `cut` own; at the last block all of it, for the classifier belongs to whoever runs that. */
export function prefixCount(full: Layout, cut: number): number {
  if (cut >= full.to) return full.count
  return full.entries.find(({ block }) => block < 0 || block >= cut)?.offset ?? full.count
}

export type TensorMap = ReadonlyMap<string, Float32Array>

/** The vector's tensors by name, as views. */
export function splitVector(layout: Layout, vector: Float32Array): Map<string, Float32Array> {
  if (vector.length !== layout.count) refuse('layout.count', 'adapter', `${layout.count} values`, vector.length)
  return new Map(layout.entries.map(({ name, offset, count }) => [name, vector.subarray(offset, offset + count)]))
}

/** One vector from tensors by name; refuses `layout.tensor` for one missing or of another size. */
export function joinVector(layout: Layout, tensors: TensorMap): Float32Array {
  const vector = new Float32Array(layout.count)
  for (const { name, offset, count } of layout.entries) {
    const tensor = tensors.get(name)
    if (tensor?.length !== count) refuse('layout.tensor', name, `${count} values`, tensor?.length ?? 'none')
    vector.set(tensor, offset)
  }
  return vector
}
