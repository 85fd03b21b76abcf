/** Writes and reads the records that describe a block to the kernel, and names their fields; abi.ts has the tables. */
import { BLOCK, LINEAR, NORM, SAVED } from './abi.ts'

type Field = { readonly offset: number; readonly type: 'usize' | 'i32' | 'u32' | 'f32' }
type Table = { readonly bytes: number; readonly fields: Readonly<Record<string, Field>> }
type FieldOf<T extends Table> = keyof T['fields'] & string
type RecordOf<T extends Table> = Record<FieldOf<T>, number>

export type LinearRecord = RecordOf<typeof LINEAR>
export type NormRecord = RecordOf<typeof NORM>
export type BlockRecord = RecordOf<typeof BLOCK>
export type SavedRecord = RecordOf<typeof SAVED>

export const LINEAR_BYTES = LINEAR.bytes
export const NORM_BYTES = NORM.bytes
export const BLOCK_BYTES = BLOCK.bytes
export const SAVED_BYTES = SAVED.bytes

/** The fields of a record in their order. */
function listFields<T extends Table>({ fields }: T): readonly FieldOf<T>[] {
  return Object.keys(fields) as FieldOf<T>[]
}

export const LINEAR_FIELDS = listFields(LINEAR)
export const SAVED_FIELDS = listFields(SAVED)

type Write<T extends Table> = (buffer: ArrayBufferLike, address: number, values: Readonly<RecordOf<T>>) => void

function writerOf<T extends Table>({ bytes, fields }: T): Write<T> {
  const entries = Object.entries(fields) as [FieldOf<T>, Field][]
  return (buffer, address, values) => {
    const view = new DataView(buffer, address, bytes)
    for (const [field, { offset, type }] of entries) {
      if (type === 'f32') view.setFloat32(offset, values[field], true)
      else view.setUint32(offset, values[field], true)
    }
  }
}

export const writeLinear = writerOf(LINEAR)
export const writeNorm = writerOf(NORM)
export const writeBlock = writerOf(BLOCK)
export const writeSaved = writerOf(SAVED)

/** The addresses and counts that a block's record holds. */
export function readBlock(buffer: ArrayBufferLike, address: number): BlockRecord {
  const view = new DataView(buffer, address, BLOCK.bytes)
  const values = Object.entries(BLOCK.fields).map(([field, { offset }]) => [field, view.getUint32(offset, true)])
  return Object.fromEntries(values) as BlockRecord
}
