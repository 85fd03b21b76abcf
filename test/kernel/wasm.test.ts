/** A host without WebAssembly, with it forbidden, or without room: refused by name, not by whatever its engine throws. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { compileModule, createMemory, instantiateModule, isValidModule } from '../../runtime/kernel/wasm.ts'
import { binaryOf } from '../kernels.ts'
import { refusal, refusalOf } from '../refusal.ts'

const whole = globalThis.WebAssembly

/** Runs `work` on a host that has `part` in place of its WebAssembly. */
async function withWasm(part: unknown, work: () => unknown): Promise<void> {
  Object.defineProperty(globalThis, 'WebAssembly', { value: part, configurable: true, writable: true })
  try {
    await work()
  } finally {
    Object.defineProperty(globalThis, 'WebAssembly', { value: whole, configurable: true, writable: true })
  }
}

test('none at all', () => withWasm(undefined, async () => {
  const { message } = await refusalOf(compileModule(binaryOf('scalar')))
  assert.is(message, 'host: expected WebAssembly, got "none: it is switched off, or this host has no such thing"')
  for (const work of [() => createMemory(1, false), () => isValidModule(new Uint8Array(8))]) assert.is(refusal(work).code, 'wasm')
}))

test('forbidden by a policy, or by a host that knows less than the kernel asks', () => withWasm({
  compile: () => Promise.reject(new EvalError("Refused to compile: 'unsafe-eval' is not allowed")), LinkError: whole.LinkError,
  instantiate: () => Promise.reject(new whole.CompileError('invalid opcode 0xfd')),
}, async () => {
  const { code, message } = await refusalOf(compileModule(binaryOf('simd')))
  assert.is(code, 'wasm')
  assert.match(message, /^host: expected WebAssembly that compiles the kernel.*unsafe-eval/)
  const memory = new whole.Memory({ initial: 1 })
  assert.match((await refusalOf(instantiateModule({} as WebAssembly.Module, memory))).message, /invalid opcode/)
}))

test('no room: for a memory, an instance, a module', () => withWasm({
  compile: () => Promise.reject(new RangeError('Out of memory')), LinkError: whole.LinkError,
  instantiate: () => Promise.reject(new RangeError('Cannot allocate Wasm memory')),
  Memory: class { constructor() { throw new RangeError('could not allocate memory') } },
}, async () => {
  const memory = new whole.Memory({ initial: 2 })
  const refusals = [
    await refusalOf(compileModule(binaryOf('simd'))), await refusalOf(instantiateModule({} as WebAssembly.Module, memory)),
    refusal(() => createMemory(3, false)), refusal(() => createMemory(3, true)),
  ]
  for (const { code, message } of refusals) {
    assert.is(code, 'memory')
    assert.match(message, /^memory: expected room on this host for \d+ bytes, .*, got ".*(allocate|Out of memory)/)
  }
  assert.match(refusals[2].message, /for 196608 bytes/)
}))

test('a damaged binary', async () => {
  assert.is((await refusalOf(compileModule(binaryOf('simd').subarray(0, 1000)))).code, 'wasm')
})

const answer = (type: string, init: ResponseInit = {}) => new Response(binaryOf('scalar'), { ...init, headers: { 'content-type': type } })

test('an answer streams into the compiler where it says that it is a module, and is taken whole where it does not', async () => {
  // Bun does not wait for its compiler at the end of a program.
  const awake = setInterval(() => {}, 1000)
  const streamed: string[] = []
  const { compileStreaming } = whole
  const watch = Object.assign(Object.create(whole) as typeof WebAssembly, {
    compileStreaming: async (source: Response) => {
      streamed.push(source.headers.get('content-type')!)
      return compileStreaming(source)
    },
  })
  await withWasm(watch, async () => {
    for (const type of ['application/wasm', 'Application/WASM; charset=binary', 'application/octet-stream', '']) {
      assert.is(WebAssembly.Module.exports(await compileModule(answer(type))).some(({ name }) => name === 'abiVersion'), true, type)
    }
  })
  assert.equal(streamed, ['application/wasm'])
  // Hosts without it take all bytes first.
  await withWasm({ compile: whole.compile, Module: whole.Module }, async () => {
    assert.instance(await compileModule(answer('application/wasm')), whole.Module)
  })
  clearInterval(awake)
})

test('a module is given back as it is; an answer that is no success, and what is no binary, are refused', async () => {
  const module = await compileModule(binaryOf('scalar'))
  assert.is(await compileModule(module), module)
  assert.is((await refusalOf(compileModule(answer('application/wasm', { status: 404 })))).message, 'kernel.status: expected 200 to 299, got 404')
  for (const wrong of ['kerf.wasm', 7, null, {}, new Promise(() => {})]) {
    assert.is((await refusalOf(compileModule(wrong as unknown as Uint8Array<ArrayBuffer>))).code, 'wasm-source', String(wrong))
  }
  const broken = new Response(binaryOf('scalar').subarray(0, 1000), { headers: { 'content-type': 'application/wasm' } })
  assert.is((await refusalOf(compileModule(broken))).code, 'wasm')
})

test.run()
