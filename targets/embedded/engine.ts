/**
 * What JavaScript has had since ES5 and a small engine may lack, as far as the device's path uses it. The bundle takes these in
 * the place of the globals of the same names, so that no global is set and every engine runs the same code; what stands on a
 * prototype is in prototypes.ts.
 *
 * No promise waits for the engine: jobs lie in a queue that `runJobs` empties, so that whoever hands in a frame has what follows
 * from it when the call returns.
 *
 * Nothing here is replaced in its turn: this file uses no loop over iterators, no spreading and no async function.
 */

type Job = () => void
const jobs: Job[] = []

/** Runs what is due, and what becomes due by it, in order. */
export function runJobs(): void {
  for (let at = 0; at < jobs.length; at++) jobs[at]()
  jobs.length = 0
}

type Settle<Value> = (value: Value) => void
type Thenable = { then(done: Settle<unknown>, failed: Settle<unknown>): unknown }

function isThenable(value: unknown): value is Thenable {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Thenable>).then === 'function'
}

/** A promise, as async functions need it. */
class Later {
  private state: 'pending' | 'done' | 'failed' = 'pending'
  private value: unknown
  private readonly waiting: Job[] = []

  constructor(work: (resolve: Settle<unknown>, reject: Settle<unknown>) => void) {
    this.follow(work)
  }

  static resolve(value: unknown): Later {
    return value instanceof Later ? value : new Later((resolve) => resolve(value))
  }

  static reject(error: unknown): Later {
    return new Later((_, reject) => reject(error))
  }

  static all(values: readonly unknown[]): Later {
    return new Later((resolve, reject) => {
      const results: unknown[] = []
      let missing = values.length
      if (missing === 0) resolve(results)
      values.forEach((value, at) => Later.resolve(value).then((result) => {
        results[at] = result
        if (--missing === 0) resolve(results)
      }, reject))
    })
  }

  then(done?: (value: unknown) => unknown, failed?: (error: unknown) => unknown): Later {
    return new Later((resolve, reject) => {
      const go = () => {
        const work = this.state === 'done' ? done : failed
        if (typeof work !== 'function') return this.state === 'done' ? resolve(this.value) : reject(this.value)
        try {
          resolve(work(this.value))
        } catch (error) {
          reject(error)
        }
      }
      const plan = () => { jobs.push(go) }
      if (this.state === 'pending') this.waiting.push(plan)
      else plan()
    })
  }

  catch(failed: (error: unknown) => unknown): Later {
    return this.then(undefined, failed)
  }

  /** Becomes what `work` says first; of a promise, what becomes of it. */
  private follow(work: (resolve: Settle<unknown>, reject: Settle<unknown>) => void): void {
    let told = false
    const first = (tell: Settle<unknown>): Settle<unknown> => (value) => {
      if (told) return
      told = true
      tell(value)
    }
    const reject = first((error) => this.settle('failed', error))
    const resolve = first((value) => {
      if (isThenable(value)) jobs.push(() => this.follow((done, failed) => { value.then(done, failed) }))
      else this.settle('done', value)
    })
    try {
      work(resolve, reject)
    } catch (error) {
      reject(error)
    }
  }

  private settle(state: 'done' | 'failed', value: unknown): void {
    this.state = state
    this.value = value
    this.waiting.forEach((plan) => plan())
    this.waiting.length = 0
  }
}

type Iterated<Item> = { next(): { done: boolean; value: Item | undefined } }

const hostSymbol = typeof Symbol === 'undefined' ? undefined : Symbol
/** Where an engine has none, its arrays have no iterators either, and prototypes.ts gives them some by this name. */
const symbols: { readonly iterator: string | symbol } = hostSymbol?.iterator === undefined ? { iterator: '@@iterator' } : hostSymbol

/** Iterates over what `read` gives for 0, 1, … as long as `at` is below `length()`. */
export function iterate<Item>(length: () => number, read: (at: number) => Item): Iterated<Item> {
  let at = 0
  const iterator: Iterated<Item> = { next: () => (at < length() ? { done: false, value: read(at++) } : { done: true, value: undefined }) }
  Object.defineProperty(iterator, symbols.iterator, { value: () => iterator })
  return iterator
}

/** By code points, as texts iterate. */
export function pointsOf(text: string): string[] {
  const points: string[] = []
  for (let at = 0; at < text.length;) {
    const high = text.charCodeAt(at) & 0xfc00, low = text.charCodeAt(at + 1) & 0xfc00
    const units = high === 0xd800 && low === 0xdc00 ? 2 : 1
    points.push(text.substring(at, at + units))
    at += units
  }
  return points
}

type Listed<Item> = ArrayLike<Item> | Iterable<Item>

function itemsOf<Item>(from: Listed<Item>): Item[] {
  if (typeof from === 'string') return pointsOf(from) as Item[]
  const items: Item[] = []
  const open = (from as unknown as Record<string | symbol, (() => Iterated<Item>) | undefined>)[symbols.iterator]
  if (typeof open === 'function') {
    const iterator = open.call(from)
    for (let step = iterator.next(); !step.done; step = iterator.next()) items.push(step.value as Item)
    return items
  }
  const list = from as ArrayLike<Item>
  for (let at = 0; at < list.length; at++) items.push(list[at])
  return items
}

/** Keys in the order of their first setting. Texts are found by an object's own properties, all other keys one by one. */
class OrderedMap<Key, Value> {
  private readonly list: Key[] = []
  private readonly held: Value[] = []
  /** Places of texts, after a sign that no property of an object's own begins with. */
  private readonly places: Record<string, number> = {}

  constructor(entries?: Iterable<readonly [Key, Value]> | null) {
    if (entries) itemsOf(entries).forEach((entry) => this.set(entry[0], entry[1]))
  }

  get size(): number {
    return this.list.length
  }

  private find(key: Key): number {
    if (typeof key === 'string') return this.places[`$${key}`] ?? -1
    for (let at = 0; at < this.list.length; at++) {
      if (this.list[at] === key || (key !== key && this.list[at] !== this.list[at])) return at
    }
    return -1
  }

  has(key: Key): boolean {
    return this.find(key) >= 0
  }

  get(key: Key): Value | undefined {
    return this.held[this.find(key)]
  }

  set(key: Key, value: Value): this {
    const at = this.find(key)
    if (at >= 0) this.held[at] = value
    else {
      if (typeof key === 'string') this.places[`$${key}`] = this.list.length
      this.list.push(key)
      this.held.push(value)
    }
    return this
  }

  forEach(visit: (value: Value, key: Key) => void): void {
    for (let at = 0; at < this.list.length; at++) visit(this.held[at], this.list[at])
  }

  keys(): Iterated<Key> {
    return iterate(() => this.list.length, (at) => this.list[at])
  }

  values(): Iterated<Value> {
    return iterate(() => this.list.length, (at) => this.held[at])
  }

  entries(): Iterated<[Key, Value]> {
    return iterate(() => this.list.length, (at) => [this.list[at], this.held[at]])
  }
}

class OrderedSet<Item> {
  private readonly map: OrderedMap<Item, true>

  constructor(items?: Iterable<Item> | null) {
    this.map = new OrderedMap<Item, true>()
    if (items) itemsOf(items).forEach((item) => this.map.set(item, true))
  }

  get size(): number {
    return this.map.size
  }

  has(item: Item): boolean {
    return this.map.has(item)
  }

  add(item: Item): this {
    this.map.set(item, true)
    return this
  }

  forEach(visit: (item: Item) => void): void {
    this.map.forEach((_, item) => visit(item))
  }

  keys(): Iterated<Item> {
    return this.map.keys()
  }

  values(): Iterated<Item> {
    return this.map.keys()
  }
}

Object.defineProperty(OrderedMap.prototype, symbols.iterator, { value: OrderedMap.prototype.entries })
Object.defineProperty(OrderedSet.prototype, symbols.iterator, { value: OrderedSet.prototype.values })

let marks = 0

/** A mark on the object itself, which ends with it. */
class MarkedSet {
  private readonly mark = `kerf mark ${marks++}`

  has(item: object): boolean {
    return Object.prototype.hasOwnProperty.call(item, this.mark)
  }

  add(item: object): this {
    if (!this.has(item)) Object.defineProperty(item, this.mark, { value: true })
    return this
  }
}

/** UTF-8, encoded: the halves of a pair alone as U+FFFD. */
class Utf8Encoder {
  encode(text: string): Uint8Array {
    const bytes: number[] = []
    for (let at = 0; at < text.length; at++) {
      let point = text.charCodeAt(at)
      if (point >= 0xd800 && point < 0xe000) {
        const low = text.charCodeAt(at + 1)
        if (point < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
          point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00)
          at++
        } else point = 0xfffd
      }
      if (point < 0x80) bytes.push(point)
      else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63))
      else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63))
      else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63))
    }
    return new Uint8Array(bytes)
  }
}

/** Units that are joined at a time: engines bound the arguments of a call. */
const UNITS = 4096

/** Bytes that follow a first one; −1 for what begins nothing. */
function bytesAfter(first: number): number {
  if (first < 0x80) return 0
  if (first < 0xc2 || first > 0xf4) return -1
  return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
}

/** UTF-8, decoded strictly; a byte order mark is text like any other. */
class Utf8Decoder {
  decode(bytes: Uint8Array): string {
    let text = ''
    let units: number[] = []
    for (let at = 0; at < bytes.length;) {
      const first = bytes[at++]
      const more = bytesAfter(first)
      if (more < 0 || at + more > bytes.length) throw new TypeError('not UTF-8')
      let point = more === 0 ? first : first & (0x3f >> more)
      for (let next = 0; next < more; next++) {
        const byte = bytes[at++]
        if ((byte & 0xc0) !== 0x80) throw new TypeError('not UTF-8')
        point = (point << 6) | (byte & 63)
      }
      const least = more === 2 ? 0x800 : more === 3 ? 0x10000 : 0
      if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) throw new TypeError('not UTF-8')
      if (point < 0x10000) units.push(point)
      else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff))
      if (units.length >= UNITS) {
        text += String.fromCharCode.apply(null, units)
        units = []
      }
    }
    return text + String.fromCharCode.apply(null, units)
  }
}

type Mapping<Item> = (item: Item, at: number) => unknown

function arrayFrom<Item>(from: Listed<Item>, map?: Mapping<Item>): unknown[] {
  const items = itemsOf(from)
  return map ? items.map((item, at) => map(item, at)) : items
}

type Numbers = { new (length: number): { [at: number]: number } }

function numbersFrom<View extends Numbers>(View: View): (from: Listed<number>, map?: Mapping<number>) => InstanceType<View> {
  return (from, map) => {
    const items = arrayFrom(from, map) as number[]
    const numbers = new View(items.length)
    for (let at = 0; at < items.length; at++) numbers[at] = items[at]
    return numbers as InstanceType<View>
  }
}

function numbersOf<View extends Numbers>(View: View): (...numbers: number[]) => InstanceType<View> {
  return (...numbers) => numbersFrom(View)(numbers)
}

// Marked, so that a script holds no more of them than it uses.
const int8From = /* @__PURE__ */ numbersFrom(Int8Array), int8Of = /* @__PURE__ */ numbersOf(Int8Array)
const uint8From = /* @__PURE__ */ numbersFrom(Uint8Array), uint8Of = /* @__PURE__ */ numbersOf(Uint8Array)
const uint16From = /* @__PURE__ */ numbersFrom(Uint16Array), uint16Of = /* @__PURE__ */ numbersOf(Uint16Array)
const int32From = /* @__PURE__ */ numbersFrom(Int32Array), int32Of = /* @__PURE__ */ numbersOf(Int32Array)
const uint32From = /* @__PURE__ */ numbersFrom(Uint32Array), uint32Of = /* @__PURE__ */ numbersOf(Uint32Array)
const float32From = /* @__PURE__ */ numbersFrom(Float32Array), float32Of = /* @__PURE__ */ numbersOf(Float32Array)
const float64From = /* @__PURE__ */ numbersFrom(Float64Array), float64Of = /* @__PURE__ */ numbersOf(Float64Array)

type Fields = Record<string, unknown>
const ownEntries = (fields: Fields): [string, unknown][] => Object.keys(fields).map((key) => [key, fields[key]])
const ownValues = (fields: Fields): unknown[] => Object.keys(fields).map((key) => fields[key])
const hasOwn = (fields: object, key: PropertyKey): boolean => Object.prototype.hasOwnProperty.call(fields, key)
function fromEntries(entries: Iterable<readonly [string, unknown]>): Fields {
  const fields: Fields = {}
  itemsOf(entries).forEach((entry) => { fields[entry[0]] = entry[1] })
  return fields
}
function assignFields(target: Fields, ...sources: readonly (Fields | undefined | null)[]): Fields {
  sources.forEach((source) => {
    if (source) Object.keys(source).forEach((key) => { target[key] = source[key] })
  })
  return target
}
const isSame = (a: unknown, b: unknown): boolean => (a === b ? a !== 0 || 1 / (a as number) === 1 / (b as number) : a !== a && b !== b)

const isFiniteNumber = (value: unknown): boolean => typeof value === 'number' && isFinite(value)
const isNan = (value: unknown): boolean => value !== value
const isWhole = (value: unknown): boolean => typeof value === 'number' && isFinite(value) && Math.floor(value) === value
const isSafe = (value: unknown): boolean => isWhole(value) && Math.abs(value as number) <= 9007199254740991

/** Exact, each of them: an f32's place rounds as IEEE has it. */
const cell = new Float32Array(1)
export function roundFloat(value: number): number {
  cell[0] = value
  return cell[0]
}

export function multiplyIntegers(a: number, b: number): number {
  return ((a & 0xffff) * b + ((((a >>> 16) * b) & 0xffff) << 16)) | 0
}

export function countLeadingZeros(value: number): number {
  let bits = value >>> 0
  if (bits === 0) return 32
  let zeros = 0
  while (bits < 0x80000000) {
    bits = (bits << 1) >>> 0
    zeros++
  }
  return zeros
}

/** Keeps the sign of zero. */
export function cutFraction(value: number): number {
  return value < 0 ? Math.ceil(value) : Math.floor(value)
}

const hostMath = Math as Partial<Math>
const fround = hostMath.fround ?? roundFloat
const imul = hostMath.imul ?? multiplyIntegers
const clz32 = hostMath.clz32 ?? countLeadingZeros
const trunc = hostMath.trunc ?? cutFraction

export {
  Later as Promise, OrderedMap as Map, OrderedSet as Set, MarkedSet as WeakSet, symbols as Symbol,
  Utf8Encoder as TextEncoder, Utf8Decoder as TextDecoder,
  arrayFrom as 'Array.from',
  int8From as 'Int8Array.from', uint8From as 'Uint8Array.from', uint16From as 'Uint16Array.from', int32From as 'Int32Array.from',
  uint32From as 'Uint32Array.from', float32From as 'Float32Array.from', float64From as 'Float64Array.from',
  int8Of as 'Int8Array.of', uint8Of as 'Uint8Array.of', uint16Of as 'Uint16Array.of', int32Of as 'Int32Array.of',
  uint32Of as 'Uint32Array.of', float32Of as 'Float32Array.of', float64Of as 'Float64Array.of',
  ownEntries as 'Object.entries', ownValues as 'Object.values', fromEntries as 'Object.fromEntries', hasOwn as 'Object.hasOwn',
  assignFields as 'Object.assign', isSame as 'Object.is',
  isFiniteNumber as 'Number.isFinite', isNan as 'Number.isNaN', isWhole as 'Number.isInteger', isSafe as 'Number.isSafeInteger',
  fround as 'Math.fround', imul as 'Math.imul', clz32 as 'Math.clz32', trunc as 'Math.trunc',
}
