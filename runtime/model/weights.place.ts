/** A weight from its file's bytes to its place in linear memory, in the format that the plan holds it in. */
import { refuse } from '../error.ts'
import type { KernelExports } from '../kernel/abi.ts'
import { countOf } from './layout.ts'
import type { PlacedTensor } from './plan.ts'
import type { WeightDtype, WeightTensor } from './weights.ts'

/** Room in linear memory that nothing needs yet. */
export type Room = { address: number; bytes: number }

const FLOAT_BYTES = 4

/** Narrow types go to the upper end of their place and widen downwards over themselves. */
function widen(
  kernel: KernelExports, memory: WebAssembly.Memory, address: number, count: number, dtype: WeightDtype, data: Uint8Array,
): void {
  const at = address + FLOAT_BYTES * count - data.length
  new Uint8Array(memory.buffer, at, data.length).set(data)
  if (dtype === 'F16') kernel.widenF16(address, at, count)
  else if (dtype === 'BF16') kernel.widenBF16(address, at, count)
}

/**
 * Places a tensor, some rows at a time through `room` where its format is not f32; refuses `weights.finite` and, for
 * f16, `weights.range`.
 */
export function placeWeight(
  kernel: KernelExports, memory: WebAssembly.Memory, tensor: PlacedTensor, { dtype, data }: WeightTensor, room: Room,
): void {
  const { name, shape, address, format, scales, packed } = tensor
  const count = countOf(shape)
  const field = `weights.${name}`
  const checkFinite = (at: number, values: number) => {
    if (kernel.countNonFinite(at, values) > 0) refuse('weights.finite', field, 'finite values', 'NaN or infinity')
  }
  if (format === 'f32' && !packed) {
    widen(kernel, memory, address, count, dtype, data)
    return checkFinite(address, count)
  }
  const [rows, width] = shape
  const rowBytes = data.length / rows
  const most = Math.floor(room.bytes / (FLOAT_BYTES * width))
  const step = packed ? kernel.tileColumns() : most
  if (most < Math.max(1, step)) {
    refuse('weights.room', field, `room for ${Math.max(1, step)} rows of ${width} values`, `${room.bytes} bytes`)
  }
  for (let row = 0; row < rows; row += step) {
    const here = Math.min(step, rows - row), values = here * width
    widen(kernel, memory, room.address, values, dtype, data.subarray(row * rowBytes, (row + here) * rowBytes))
    checkFinite(room.address, values)
    if (packed) {
      kernel.packPanel(address + FLOAT_BYTES * row * width, room.address, width)
    } else if (format === 'int8') {
      kernel.quantizeRows(address + row * width, scales + FLOAT_BYTES * row, room.address, here, width)
    } else {
      const to = address + 2 * row * width
      kernel.narrowF16(to, room.address, values)
      kernel.widenF16(room.address, to, values)
      if (kernel.countNonFinite(room.address, values) > 0) {
        refuse('weights.range', field, 'values of at most 65504, as f16 holds them', 'a larger one')
      }
    }
  }
}
