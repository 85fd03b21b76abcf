/**
 * Methods that a small engine's arrays, typed arrays and texts may lack, as far as the device and the kernel's cases use them. Each is the
 * standard's own, is set only where there is none, and stands in no `for … in`.
 */
import { iterate, pointsOf } from './engine.ts'

type List = { readonly length: number; [at: number]: unknown }
type Test = (item: unknown, at: number, list: List) => unknown

function define(prototype: object, name: string | symbol, value: unknown): void {
  if (!(name in prototype)) Object.defineProperty(prototype, name, { value, writable: true, configurable: true })
}

function findIndex(this: List, test: Test): number {
  for (let at = 0; at < this.length; at++) if (test(this[at], at, this)) return at
  return -1
}

const SEARCHES = {
  findIndex,
  find(this: List, test: Test): unknown {
    const at = findIndex.call(this, test)
    return at < 0 ? undefined : this[at]
  },
  fill(this: List, value: unknown, begin = 0, end = this.length): unknown {
    for (let at = begin; at < end; at++) this[at] = value
    return this
  },
}

const LISTS = {
  includes(this: List, item: unknown): boolean {
    return findIndex.call(this, (other) => other === item || (other !== other && item !== item)) >= 0
  },
  flatMap(this: unknown[], map: (item: unknown, at: number) => unknown): unknown[] {
    return ([] as unknown[]).concat(...this.map((item, at) => map(item, at)))
  },
  flat(this: unknown[]): unknown[] {
    return ([] as unknown[]).concat(...this)
  },
  entries(this: List): unknown {
    return iterate(() => this.length, (at) => [at, this[at]])
  },
}

const NUMBERS = {
  every(this: List, test: Test): boolean {
    return findIndex.call(this, (item, at, list) => !test(item, at, list)) < 0
  },
  some(this: List, test: Test): boolean {
    return findIndex.call(this, test) >= 0
  },
  forEach(this: List, visit: Test): void {
    for (let at = 0; at < this.length; at++) visit(this[at], at, this)
  },
  join(this: List, separator?: string): string {
    return Array.prototype.join.call(this, separator)
  },
  map(this: Float32Array, map: (item: number, at: number) => number): unknown {
    const View = this.constructor as Float32ArrayConstructor
    const mapped = new View(this.length)
    for (let at = 0; at < this.length; at++) mapped[at] = map(this[at], at)
    return mapped
  },
  reduce(this: List, ...rest: [join: (sum: unknown, item: unknown) => unknown, first: unknown]): unknown {
    return (Array.prototype.reduce as (this: List, ...rest: unknown[]) => unknown).apply(this, rest)
  },
  /** A copy with a buffer of its own. */
  slice(this: Float32Array, begin = 0, end = this.length): unknown {
    const View = this.constructor as Float32ArrayConstructor
    const part = this.subarray(begin, end)
    const copy = new View(part.length)
    copy.set(part)
    return copy
  },
}

const TEXTS = {
  startsWith(this: string, start: string, at = 0): boolean {
    return this.substring(at, at + start.length) === start
  },
  endsWith(this: string, end: string): boolean {
    return this.length >= end.length && this.substring(this.length - end.length) === end
  },
  includes(this: string, text: string): boolean {
    return this.indexOf(text) >= 0
  },
  repeat(this: string, count: number): string {
    let text = ''
    for (let at = 0; at < count; at++) text += this
    return text
  },
  padStart(this: string, length: number, filler = ' '): string {
    let text = String(this)
    while (text.length < length) text = filler + text
    return text
  },
  codePointAt(this: string, at: number): number | undefined {
    const high = this.charCodeAt(at), low = this.charCodeAt(at + 1)
    if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
    return high === high ? high : undefined
  },
}

function defineAll(prototype: object, methods: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(methods)) define(prototype, name, methods[name])
}

function values(this: List): unknown {
  return iterate(() => this.length, (at) => this[at])
}

// First, since loops over arrays ask for it.
define(Array.prototype, Symbol.iterator, values)
defineAll(Array.prototype, SEARCHES)
defineAll(Array.prototype, LISTS)
for (const { prototype } of [Int8Array, Uint8Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array]) {
  defineAll(prototype, SEARCHES)
  defineAll(prototype, NUMBERS)
  define(prototype, Symbol.iterator, values)
}
defineAll(String.prototype, TEXTS)
define(String.prototype, Symbol.iterator, function (this: string) {
  const points = pointsOf(String(this))
  return iterate(() => points.length, (at) => points[at])
})
