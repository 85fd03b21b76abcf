/** Counts how often numbers are copied as a whole while something runs, by watching every way in which typed arrays copy. */

/** What one copy moved, as bytes, and the buffer it went to. */
export type Copy = { bytes: Uint8Array; target: ArrayBufferLike }

type Numbers = Uint8Array | Float32Array
type Construct = (target: new (...args: unknown[]) => Numbers, args: unknown[], caller: new (...args: unknown[]) => Numbers) => Numbers

const Bytes = Uint8Array
const prototype = Object.getPrototypeOf(Bytes.prototype) as Uint8Array
const { set, slice } = prototype
const sliceBuffer = ArrayBuffer.prototype.slice
const NAMES = ['Uint8Array', 'Float32Array'] as const

/** The copies of at least `bytesMin` bytes while `work` runs, in their order. */
export async function recordCopies<Result>(bytesMin: number, work: () => Result | Promise<Result>): Promise<{ result: Result; copies: Copy[] }> {
  const copies: Copy[] = []
  const note = ({ buffer, byteOffset, byteLength }: Numbers) => {
    if (byteLength < bytesMin) return
    const bytes = new Bytes(sliceBuffer.call(buffer, byteOffset, byteOffset + byteLength))
    copies.push({ bytes, target: buffer })
  }
  const construct: Construct = (target, args, caller) => {
    const made = Reflect.construct(target, args, caller) as Numbers
    // From a buffer it's a view, from a length it's empty, from anything else it's a copy.
    const [from] = args
    if (typeof from === 'object' && from !== null && made.buffer !== from) note(made)
    return made
  }
  const originals = NAMES.map((name) => [name, globalThis[name]] as const)
  for (const [name, original] of originals) Reflect.set(globalThis, name, new Proxy(original, { construct: construct as ProxyHandler<object>['construct'] }))
  prototype.set = function (this: Numbers, from: ArrayLike<number>, at = 0) {
    set.call(this, from, at)
    note(this.subarray(at, at + from.length))
  }
  prototype.slice = function (this: Uint8Array, ...range: [number?, number?]) {
    const made = slice.apply(this, range) as Uint8Array<ArrayBuffer>
    note(made)
    return made
  }
  ArrayBuffer.prototype.slice = function (this: ArrayBuffer, ...range: [number?, number?]) {
    const made = sliceBuffer.apply(this, range as [number, number])
    note(new Bytes(made))
    return made
  }
  try {
    return { result: await work(), copies }
  } finally {
    for (const [name, original] of originals) Reflect.set(globalThis, name, original)
    Object.assign(prototype, { set, slice })
    ArrayBuffer.prototype.slice = sliceBuffer
  }
}

/** Of these copies those that hold all of `payload`. */
export function copiesOf(payload: Uint8Array, copies: readonly Copy[]): Copy[] {
  const wanted = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return copies.filter(({ bytes }) => Buffer.from(bytes.buffer).includes(wanted))
}
