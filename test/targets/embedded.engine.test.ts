/** What stands in the place of an engine's own, against the engine's own. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as engine from '../../targets/embedded/engine.ts'
import { createRandom } from '../../runtime/random.ts'
import { bareHost, script } from './embedded.script.ts'

const random = createRandom(3, 'mask')
const word = () => random.below(65536) * 65536 + random.below(65536)

/** Doubles of all magnitudes an f32 has or just misses, halves between two f32, and the ends. */
function drawDoubles(count: number): number[] {
  const view = new DataView(new ArrayBuffer(8))
  const drawn = Array.from({ length: count }, (_, index) => {
    view.setUint32(0, (word() & 0x800fffff) | ((1023 - 155 + random.below(290)) << 20))
    view.setUint32(4, index % 3 === 0 ? 0x10000000 : index % 3 === 1 ? 0 : word())
    return view.getFloat64(0)
  })
  return [
    ...drawn, 0, -0, NaN, Infinity, -Infinity, 3.4028235677973366e38, 3.4028235677973362e38, 1.401298464324817e-45, 7.006492321624085e-46,
  ]
}

test('Math.fround, imul, clz32, trunc', () => {
  for (const value of drawDoubles(30_000)) {
    assert.ok(Object.is(engine.roundFloat(value), Math.fround(value)), `fround ${value}`)
    assert.ok(Object.is(engine.cutFraction(value), Math.trunc(value)), `trunc ${value}`)
  }
  for (let draw = 0; draw < 30_000; draw++) {
    const a = word() >> random.below(32), b = word() >> random.below(32)
    assert.is(engine.multiplyIntegers(a, b), Math.imul(a, b), `imul ${a} ${b}`)
    assert.is(engine.countLeadingZeros(a), Math.clz32(a), `clz32 ${a}`)
  }
  for (const a of [0, -1, 1, 0x7fffffff, -0x80000000, 0xffffffff]) {
    assert.is(engine.countLeadingZeros(a), Math.clz32(a))
    for (const b of [0, -1, 0x7fffffff, -0x80000000, 0xffffffff]) assert.is(engine.multiplyIntegers(a, b), Math.imul(a, b))
  }
})

test('UTF-8: every code point, halves alone, and bytes that are none', () => {
  const own = new engine.TextEncoder(), host = new TextEncoder()
  for (let begin = 0; begin < 0x110000; begin += 0x1000) {
    const text = String.fromCodePoint(...Array.from({ length: 0x1000 }, (_, at) => begin + at))
    assert.is(Buffer.compare(own.encode(text), host.encode(text)), 0, `from ${begin}`)
    if (begin < 0xd000 || begin >= 0xe000) assert.is(new engine.TextDecoder().decode(host.encode(text)), text)
  }
  for (const text of ['\ud800', '\udc00\ud800', 'a\ud83dz', '\ud83d\ud83d\ude00']) {
    assert.equal([...own.encode(text)], [...host.encode(text)])
  }

  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const read = (decode: () => string) => {
    try {
      return decode()
    } catch {
      return null
    }
  }
  let refused = 0
  for (let draw = 0; draw < 60_000; draw++) {
    const byte = () => (random.below(4) > 0 ? 0x80 + random.below(128) : random.below(256))
    const bytes = Uint8Array.from({ length: 1 + random.below(4) }, byte)
    const expected = read(() => strict.decode(bytes))
    assert.is(read(() => new engine.TextDecoder().decode(bytes)), expected, [...bytes].join())
    if (expected === null) refused++
  }
  assert.ok(refused > 1000 && refused < 60_000)
})

test('maps and sets keep the order of setting, and any key', () => {
  const keys: unknown[] = ['b', 'a', '__proto__', 'constructor', 3, '3', NaN, null, undefined, keysOf]
  const own = new engine.Map<unknown, number>(), host = new Map<unknown, number>()
  keys.forEach((key, at) => { own.set(key, at); host.set(key, at) })
  own.set('a', 9); host.set('a', 9)
  assert.equal(keysOf(own.entries()), [...host.entries()])
  assert.equal(keysOf(own.keys()), [...host.keys()])
  assert.is(own.size, host.size)
  for (const key of [...keys, 'hasOwnProperty', 4]) assert.is(own.has(key), host.has(key), String(key))
  assert.is(own.get('toString'), undefined)
  assert.equal(keysOf(new engine.Set(['x', 'y', 'x']).values()), ['x', 'y'])
  const mark = new engine.WeakSet(), item = {}
  assert.is(mark.has(item), false)
  assert.is(mark.add(item).has(item), true)
  assert.is(new engine.WeakSet().has(item), false)
  assert.equal(Object.keys(item), [])
})

function keysOf<Item>(iterator: { next(): { done: boolean; value: Item | undefined } }): (Item | undefined)[] {
  const items: (Item | undefined)[] = []
  for (let step = iterator.next(); !step.done; step = iterator.next()) items.push(step.value)
  return items
}

/** The same promises by `Later`, whose words come in the order in which they are due. */
function follow(Later: typeof engine.Promise, say: (word: string) => void): void {
  let release: (value: unknown) => void = () => {}
  const gate = new Later((resolve) => { release = resolve })
  gate.then((value) => say(`gate ${String(value)}`)).then(() => { throw new Error('thrown') })
    .then(() => say('never'), (error) => say(String(error)))
  Later.reject(new Error('refused')).catch((error) => say(String(error))).then(() => say('after'))
  Later.all([1, Later.resolve(2), gate]).then((values) => say(String(values)))
  new Later(() => { throw new Error('at once') }).catch((error) => say(String(error)))
  Later.resolve(gate).then(() => say('inner'))
  say('sync')
  release(Later.resolve('open'))
  release('twice')
}

test('promises come in the order of the language\'s own, when they are run', async () => {
  const own: string[] = [], host: string[] = []
  follow(engine.Promise, (word) => own.push(word))
  assert.equal(own, ['sync'])
  engine.runJobs()
  follow(Promise as unknown as typeof engine.Promise, (word) => host.push(word))
  await new Promise((resolve) => { setImmediate(resolve) })
  assert.equal(own, host)
})

test('the rest', () => {
  assert.equal(engine['Array.from']('a\u{1F600}b'), Array.from('a\u{1F600}b'))
  assert.equal(engine['Array.from']({ length: 3 }, (_, at) => at), [0, 1, 2])
  assert.equal([...engine['Int32Array.from']([1.7, -2.2, 2 ** 31])], [...Int32Array.from([1.7, -2.2, 2 ** 31])])
  assert.equal([...engine['Float64Array.of'](0.1, 2)], [0.1, 2])
  assert.equal(engine['Object.fromEntries']([['a', 1]]), { a: 1 })
  for (const value of [1, 1.5, -0, NaN, Infinity, 2 ** 53, 2 ** 53 - 1, '1']) {
    assert.is(engine['Number.isInteger'](value), Number.isInteger(value))
    assert.is(engine['Number.isSafeInteger'](value), Number.isSafeInteger(value))
    assert.is(engine['Number.isFinite'](value), Number.isFinite(value))
    for (const other of [0, -0, NaN, 1]) assert.is(engine['Object.is'](value, other), Object.is(value, other))
  }
})

test('methods and iterators on a host that has none', async () => {
  const work = 'var points = [], text = "a\\ud83d\\ude00b", at = text[kerf.iterator]()\n'
    + 'for (var step = at.next(); !step.done; step = at.next()) points.push(step.value.length)\n'
    + 'var view = new Float32Array([1, 2, 3, 4]), part = view.slice(1, 3); part[0] = 9\n'
    + 'print([points.join(""), view.join(), part.join(), view.map(function (x) { return x / 2 }).join(), '
    + 'view.reduce(function (a, b) { return a + b }), view.find(function (x) { return x > 2 }), view.every(function (x) { return x > 0 }), '
    + 'view.some(function (x) { return x > 9 }), view.fill(7, 1, 2).join(), [1, NaN].includes(NaN), '
    + '[[1], [2]].flatMap(function (x) { return x }).join(), '
    + '"ab".padStart(4, "0"), "ab".startsWith("b", 1), "ab".endsWith("ab"), "ab".includes("c"), '
    + '"ab".repeat(2), "\\ud83d\\ude00".codePointAt(0)].join(" "))\n'
    + 'var named = []; for (var key in [1]) named.push(key); for (key in view) named.push(key); print(named.join())'
  const { lines } = await bareHost.run(`${script}\nkerf.iterator = '@@iterator'\n${work}`)
  assert.equal(lines, [
    '121 1,2,3,4 9,3 0.5,1,1.5,2 10 3 true false 1,7,3,4 true 1,2 00ab true true false abab 128512', '0,0,1,2,3',
  ])
})

test.run()
