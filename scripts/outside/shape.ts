/** Moving numbers between shapes, as NumPy has it: the host's part, which computes none. */
export type Shape = readonly number[]

export const countOf = (shape: Shape): number => shape.reduce((product, size) => product * size, 1)

/** Elements from one index of each dimension to the next. */
function stridesOf(shape: Shape): number[] {
  return shape.map((_, i) => countOf(shape.slice(i + 1)))
}

/** From 0, for axes that count from the end where negative. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

/** out, of shape `shape`, whose element at (i, j, …) is values[i·strides[0] + j·strides[1] + …]. */
function gatherStrided<V extends Float32Array | Int32Array>(values: V, shape: Shape, strides: readonly number[]): V {
  const out = values.slice(0, 0).constructor as new (length: number) => V
  const moved = new out(countOf(shape))
  const own = stridesOf(shape)
  for (let at = 0; at < moved.length; at++) {
    let from = 0
    shape.forEach((size, i) => { from += (Math.floor(at / own[i]) % size) * strides[i] })
    moved[at] = values[from]
  }
  return moved
}

/** The tensor's dimensions in the order `order`. */
export function permute<V extends Float32Array | Int32Array>(values: V, shape: Shape, order: readonly number[]): V {
  const strides = stridesOf(shape)
  return gatherStrided(values, order.map((axis) => shape[axis]), order.map((axis) => strides[axis]))
}

/** Order that puts `axes` last, and the order that takes them back. */
export function movedLast(axes: readonly number[], rank: number): { order: number[]; back: number[] } {
  const all = Array.from({ length: rank }, (_, i) => i)
  const order = [...all.filter((axis) => !axes.includes(axis)), ...axes]
  return { order, back: all.map((axis) => order.indexOf(axis)) }
}

/** The shape that all of `shapes` are repeated to. */
export function broadcastShapes(...shapes: readonly Shape[]): number[] {
  const rank = Math.max(...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((shape) => shape[i - rank + shape.length] ?? 1)
    return sizes.find((size) => size !== 1) ?? 1
  })
}

export function broadcastTo(values: Float32Array, shape: Shape, target: Shape): Float32Array {
  const strides = stridesOf(shape), missing = target.length - shape.length
  return gatherStrided(values, target, target.map((_, i) => (i < missing || shape[i - missing] === 1 ? 0 : strides[i - missing])))
}

export const transpose = (values: Float32Array, rows: number, columns: number): Float32Array => permute(values, [rows, columns], [1, 0])
