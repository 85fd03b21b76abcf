/** The kernel's records, field by field in the order of `assembly/records.ts`; every field is four bytes. */

const LINEAR = [
  'weight', 'bias', 'loraA', 'loraB', 'dWeight', 'dBias', 'dLoraA', 'dLoraB', 'inputs', 'outputs', 'rank', 'scale', 'format', 'scales',
] as const
const NORM = ['gain', 'bias', 'dGain', 'dBias', 'width', 'eps'] as const
const BLOCK = ['query', 'key', 'value', 'attention', 'up', 'down', 'norm1', 'norm2', 'heads', 'ffnRows'] as const
const SAVED = [
  'x', 'query', 'key', 'value', 'context', 'sum1', 'stats1', 'hidden', 'up', 'sum2', 'stats2',
  'loraQuery', 'loraKey', 'loraValue', 'loraAttention', 'loraUp', 'loraDown',
] as const

const FLOATS: ReadonlySet<string> = new Set(['scale', 'eps'])

export type LinearRecord = Record<(typeof LINEAR)[number], number>
export type NormRecord = Record<(typeof NORM)[number], number>
export type BlockRecord = Record<(typeof BLOCK)[number], number>
export type SavedRecord = Record<(typeof SAVED)[number], number>

export const LINEAR_BYTES = 4 * LINEAR.length
export const NORM_BYTES = 4 * NORM.length
export const BLOCK_BYTES = 4 * BLOCK.length
export const SAVED_BYTES = 4 * SAVED.length

function write(buffer: ArrayBufferLike, address: number, fields: readonly string[], values: Readonly<Record<string, number>>): void {
  const view = new DataView(buffer, address, 4 * fields.length)
  fields.forEach((field, index) => {
    if (FLOATS.has(field)) view.setFloat32(4 * index, values[field], true)
    else view.setUint32(4 * index, values[field], true)
  })
}

export function writeLinear(buffer: ArrayBufferLike, address: number, values: LinearRecord): void {
  write(buffer, address, LINEAR, values)
}

export function writeNorm(buffer: ArrayBufferLike, address: number, values: NormRecord): void {
  write(buffer, address, NORM, values)
}

export function writeBlock(buffer: ArrayBufferLike, address: number, values: BlockRecord): void {
  write(buffer, address, BLOCK, values)
}

/** The addresses that a block's record holds. */
export function readBlock(buffer: ArrayBufferLike, address: number): BlockRecord {
  const view = new DataView(buffer, address, BLOCK_BYTES)
  return Object.fromEntries(BLOCK.map((field, index) => [field, view.getUint32(4 * index, true)])) as BlockRecord
}

export function writeSaved(buffer: ArrayBufferLike, address: number, values: SavedRecord): void {
  write(buffer, address, SAVED, values)
}
