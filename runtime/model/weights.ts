/**
 * A model's safetensors file, read a tensor at a time.
 *
 * Opening reads the header only, so a device takes from the file just the blocks
 * below its cut. Bytes come out as the file stores them; conversion is the kernel's.
 */
import { refuse } from '../error.ts'
import type { ByteSource } from '../host/files.ts'
import { headerBytes, parseHeader } from '../wire/safetensors.ts'
import type { TensorView } from '../wire/safetensors.ts'
import { canonicalName } from './names.ts'

export type WeightDtype = 'F32' | 'F16' | 'BF16'

export type WeightTensor = { dtype: WeightDtype; data: Uint8Array }

export type Weights = {
  /** Kerf's names (`canonicalName`), in the order of their bytes in the file. */
  names: readonly string[]
  has(name: string): boolean
  /** Little-endian bytes of a tensor of exactly `shape`; throws a KerfError where the file holds no such tensor. */
  read(name: string, shape: readonly number[]): Promise<WeightTensor>
}

const PREFIX_BYTES = 8
const DTYPES: readonly string[] = ['F32', 'F16', 'BF16'] satisfies readonly WeightDtype[]

async function readBytes(source: ByteSource, begin: number, end: number): Promise<Uint8Array> {
  const bytes = await source.read(begin, end)
  if (bytes.length !== end - begin) {
    refuse('weights-short', source.name, `${end - begin} bytes at ${begin}`, bytes.length)
  }
  return bytes
}

function indexTensors(views: Iterable<TensorView>, file: string): ReadonlyMap<string, TensorView> {
  const index = new Map<string, TensorView>()
  for (const view of views) {
    const name = canonicalName(view.name)
    const twin = index.get(name)
    if (twin) refuse('weights-twice', `${file}.${name}`, `one tensor of this name besides ${twin.name}`, view.name)
    index.set(name, view)
  }
  return index
}

function isWeightDtype(dtype: string): dtype is WeightDtype {
  return DTYPES.includes(dtype)
}

/**
 * Opens a safetensors file by its header.
 * Throws a KerfError for a damaged header and for two tensors that bear one
 * canonical name (`bert.pooler.dense.weight` beside `pooler.dense.weight`).
 */
export async function openWeights(source: ByteSource): Promise<Weights> {
  if (source.bytes < PREFIX_BYTES) {
    refuse('weights-short', source.name, `at least ${PREFIX_BYTES} bytes`, source.bytes)
  }
  const first = await readBytes(source, 0, PREFIX_BYTES)
  const size = headerBytes(first, source.bytes, source.name)
  const header = parseHeader(await readBytes(source, 0, size), source.bytes, source.name)
  const views = indexTensors(header.tensors.values(), source.name)

  async function read(name: string, shape: readonly number[]): Promise<WeightTensor> {
    const field = `${source.name}.${name}`
    const view = views.get(name)
    if (!view) refuse('weights-missing', field, `a tensor of shape [${shape.join(', ')}]`, 'no such tensor')
    const { dtype } = view
    if (!isWeightDtype(dtype)) refuse('weights-dtype', field, DTYPES.join(', '), dtype)
    if (view.shape.length !== shape.length || view.shape.some((size, axis) => size !== shape[axis])) {
      refuse('weights-shape', field, `shape [${shape.join(', ')}]`, `[${view.shape.join(', ')}]`)
    }
    return { dtype, data: await readBytes(source, header.dataBegin + view.begin, header.dataBegin + view.end) }
  }

  return { names: [...views.keys()], has: (name) => views.has(name), read }
}
