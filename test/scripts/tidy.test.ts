/** Each rule of tidy on a small tree that breaks it once, and on what only looks like it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SCHEDULERS } from '../../runtime/split/schedule.ts'
import { SCHEME_NAMES } from '../../runtime/split/scheme.ts'
import { checkTree } from '../../scripts/tidy/rules.ts'
import { findImports, maskSource } from '../../scripts/tidy/scan.ts'
import { describeViolation } from '../../scripts/tidy/violation.ts'

const CLEAN: Readonly<Record<string, string>> = {
  'LICENSE': 'Apache License\n',
  'package.json': '{ "dependencies": { "@noble/hashes": "1", "ws": "1" } }\n',
  'package-lock.json': '{}\n',
}

/** The violations of CLEAN with more files, each as `file:line: rule`. */
function rulesBroken(files: Readonly<Record<string, string>>): string[] {
  return checkTree(new Map(Object.entries({ ...CLEAN, ...files }))).map(({ file, line, rule }) => `${file}:${line}: ${rule}`)
}

function checkRuntime(code: string, ...rules: string[]): void {
  assert.equal(rulesBroken({ 'runtime/a.ts': `/** Head. */\n${code}\n` }), rules.map((rule) => `runtime/a.ts:2: ${rule}`), code)
}

test('a clean tree', () => assert.equal(rulesBroken({}), []))

test('a violation names place, rule, expectation and value', () => {
  const [violation] = checkTree(new Map(Object.entries({ ...CLEAN, 'runtime/a.ts': '/** Head. */\nMath.sin(1)\n' })))
  assert.match(describeViolation(violation), /^runtime\/a\.ts:2: math: expected an exact .*, got Math\.sin$/)
})

test('files that must stand there, and that must not', () => {
  const empty = checkTree(new Map()).map(({ file, rule }) => `${file} ${rule}`)
  assert.equal(empty, ['LICENSE needed', 'package-lock.json needed', 'package.json needed'])
  assert.equal(rulesBroken({ 'dist.wasm': '' }), ['dist.wasm:1: binary'])
  assert.equal(rulesBroken({ 'package-lock.json': '{\n  "resolved": "https://example.org/a.tgz"\n}' }), ['package-lock.json:2: resolved'])
})

test('names', () => {
  assert.equal(rulesBroken({ 'assembly/index.ts': '', 'scripts/a1.b.ts': '', 'scripts/golden.py': '' }), [])
  assert.equal(rulesBroken({ 'scripts/index.ts': '' }), ['scripts/index.ts:1: index'])
  for (const name of ['aB.ts', 'a-b.ts', 'a_b.py']) assert.equal(rulesBroken({ [`scripts/${name}`]: '' }), [`scripts/${name}:1: name`])
})

test('imports: each folder keeps its side', () => {
  const files = { 'runtime/b.ts': '/** Head. */\n', 'targets/node/host.ts': '', 'targets/bun/host.ts': '', 'assembly/b.ts': '' }
  const broken = (file: string, specifier: string) => rulesBroken({ ...files, [file]: `/** Head. */\nimport { a } from '${specifier}'\n` })
  const kept: [string, string][] = [
    ['assembly/a.ts', './b'], ['runtime/a.ts', './b.ts'], ['runtime/a.ts', '@noble/hashes/sha2.js'], ['runtime/wire/a.ts', '../b.ts'],
    ['targets/node/a.ts', './host.ts'], ['targets/node/a.ts', '../../runtime/b.ts'], ['targets/node/a.ts', 'node:fs'],
    ['targets/node/a.ts', 'ws'], ['scripts/a.ts', '../targets/bun/host.ts'],
  ]
  for (const [file, specifier] of kept) assert.equal(broken(file, specifier), [], `${file} ${specifier}`)
  const strays: [string, string][] = [
    ['assembly/a.ts', '../runtime/b'], ['assembly/a.ts', 'ws'], ['runtime/a.ts', 'node:fs'], ['runtime/a.ts', 'ws'],
    ['runtime/a.ts', '../assembly/b.ts'], ['runtime/a.ts', '../targets/node/host.ts'], ['targets/node/a.ts', '../bun/host.ts'],
    ['targets/node/a.ts', '../../scripts/a.ts'], ['scripts/a.ts', 'left-pad'], ['scripts/a.ts', 'fs'],
  ]
  for (const [file, specifier] of strays) assert.equal(broken(file, specifier), [`${file}:2: import`], `${file} ${specifier}`)
})

test('imports: no index, no cycle', () => {
  assert.equal(rulesBroken({ 'assembly/index.ts': '', 'assembly/a.ts': "import { b } from './index'\n" }), ['assembly/a.ts:1: import'])
  const cycle = {
    'scripts/a.ts': "import './b.ts'\n", 'scripts/b.ts': "export * from './c.ts'\n",
    'scripts/c.ts': "import type { A } from './a.ts'\n",
  }
  assert.equal(rulesBroken(cycle), ['scripts/c.ts:1: cycle'])
  assert.equal(rulesBroken({ ...cycle, 'scripts/c.ts': '' }), [])
})

const HEAD = '/** Head. */\n'

/** What is broken where `file` imports `target`, each a path in the tree. */
function importing(file: string, target: string): string[] {
  const up = '../'.repeat(file.split('/').length - 1)
  return rulesBroken({ [target]: HEAD, [file]: `${HEAD}import '${up}${target}'\n` })
}

test('rooms: each reads those above it, none below', () => {
  const ladder = ['', 'text/', 'host/', 'kernel/', 'wire/', 'data/', 'model/', 'split/', 'federation/', 'bench/', 'program/']
  for (const [from, room] of ladder.entries()) {
    for (const [to, other] of ladder.entries()) {
      const broken = to > from ? [`runtime/${room}a.ts:2: room`] : []
      assert.equal(importing(`runtime/${room}a.ts`, `runtime/${other}b.ts`), broken, `${room} ${other}`)
    }
  }
  assert.equal(importing('runtime/split/server/a.ts', 'runtime/split/states/b.ts'), [])
  assert.equal(importing('runtime/model/bert/a.ts', 'runtime/federation/b.ts'), ['runtime/model/bert/a.ts:2: room'])
})

test('rooms: a leaf reads no other leaf', () => {
  const leaves = ['forecast', 'bench', 'report', 'simulation', 'conformance']
  for (const leaf of leaves) {
    for (const other of leaves) {
      const broken = other === leaf ? [] : [`runtime/${leaf}/a.ts:2: room`]
      assert.equal(importing(`runtime/${leaf}/a.ts`, `runtime/${other}/b.ts`), broken, `${leaf} ${other}`)
    }
    assert.equal(importing(`runtime/${leaf}/a.ts`, 'runtime/federation/b.ts'), [])
    assert.equal(importing('runtime/program/a.ts', `runtime/${leaf}/b.ts`), [])
  }
  const [violation] = checkTree(new Map(Object.entries({ ...CLEAN, 'runtime/bench/a.ts': `${HEAD}import '../report/b.ts'\n` })))
  assert.is(describeViolation(violation), 'runtime/bench/a.ts:2: room: expected bench not to import report, got ../report/b.ts')
})

test('rooms: none stands outside the order, and no code among what is shipped', () => {
  assert.equal(rulesBroken({ 'runtime/attic/b.ts': HEAD, 'runtime/attic/c/a.ts': HEAD }), ['runtime/attic/b.ts:1: room'])
  assert.equal(rulesBroken({ 'runtime/attic/a.json': '{}' }), ['runtime/attic/a.json:1: room'])
  assert.equal(rulesBroken({ 'runtime/bundled/a.txt': '', 'targets/attic/a.ts': '', 'test/attic/a.ts': '' }), [])
  assert.equal(rulesBroken({ 'runtime/bundled/base/a.ts': HEAD }), ['runtime/bundled/base/a.ts:1: room'])
})

test('rooms: no circle', () => {
  const pair = (a: string, b: string) => ({
    [`runtime/${a}/a.ts`]: `${HEAD}import '../${b}/b.ts'\n`, [`runtime/${b}/b.ts`]: HEAD,
    [`runtime/${b}/c.ts`]: `${HEAD}import '../${a}/d.ts'\n`, [`runtime/${a}/d.ts`]: HEAD,
  })
  assert.equal(rulesBroken(pair('split', 'wire')), ['runtime/wire/c.ts:2: room'])
  const unplaced = ['runtime/attic/a.ts:1: room', 'runtime/cellar/b.ts:1: room']
  assert.equal(rulesBroken(pair('attic', 'cellar')), [...unplaced, 'runtime/cellar/c.ts:2: cycle'])
})

test('rooms: host/ holds types alone', () => {
  const broken = (code: string) => rulesBroken({ 'runtime/host/a.ts': `${HEAD}${code}\n`, 'runtime/text/a.ts': `${HEAD}${code}\n` })
  const types = [
    'export type A = { export(): void; const: 1 }', 'export interface A {}', "export type { A } from './b.ts'",
    '// export const a', 'type A = 1',
  ]
  for (const code of types) assert.equal(broken(code), [], code)
  const values = [
    'const a = 1', 'function a() {}', 'async function a() {}', 'class A {}', 'let a = 1', 'default 1', '{ a }', '{}', "* from './b.ts'",
  ]
  for (const value of values) assert.equal(broken(`export ${value}`), ['runtime/host/a.ts:2: host'], value)
})

test('folders of scripts/ know what stands beside them, not each other', () => {
  assert.equal(importing('scripts/peers/a.ts', 'scripts/base/b.ts'), ['scripts/peers/a.ts:2: room'])
  assert.equal(importing('scripts/tidy/a.ts', 'scripts/peers/b.ts'), ['scripts/tidy/a.ts:2: room'])
  assert.equal(importing('scripts/engines/a.ts', 'scripts/peers/b.ts'), ['scripts/engines/a.ts:2: room'])
  const kept = [
    ['peers/a.ts', 'b.ts'], ['a.ts', 'peers/b.ts'], ['peers/a.ts', 'peers/b.ts'], ['base/c/a.ts', 'base/b.ts'], ['peers/a.ts', 'engines/b.ts'],
  ]
  for (const [file, target] of kept) assert.equal(importing(`scripts/${file}`, `scripts/${target}`), [], `${file} ${target}`)
  assert.equal(importing('test/a/a.ts', 'scripts/base/b.ts'), [])
})

/** What is broken by a line of `code` in a file of runtime/ and in one of targets/. */
function checkCode(code: string, ...rules: string[]): void {
  for (const file of ['runtime/report/a.ts', 'targets/node/a.ts']) {
    assert.equal(rulesBroken({ [file]: `${HEAD}${code}\n` }), rules.map((rule) => `${file}:2: ${rule}`), `${file}: ${code}`)
  }
}

test('schemes and schedulers are named in their tables alone', () => {
  const tables = [['scheme', SCHEME_NAMES, 'runtime/split/scheme.ts'], ['scheduler', SCHEDULERS, 'runtime/split/schedule.ts']] as const
  for (const [rule, names, home] of tables) {
    for (const name of names) {
      for (const quote of ["'", '"', '`']) checkCode(`f(${quote}${name}${quote})`, rule)
      checkCode(`type A = '${name}' | 1`, rule)
      checkCode(`// '${name}'\nf('${name}s', "a '${name}'", \`\${a}'${name}'\`, /'${name}'/)`)
      assert.equal(rulesBroken({ [home]: `${HEAD}f('${name}')\n`, 'scripts/a.ts': `f('${name}')`, 'test/a.ts': `f('${name}')` }), [], name)
    }
  }
})

test('a table of schemes by another form', () => {
  const tables = [
    '{ kerf: { a: 1 }, sl: { b: [2, 3] } }', '{ fl: 1 }', '{ central, }', '{ splitlora?: A; fl: B }', '{ sl: A\n  fl: B\n}',
  ]
  for (const table of tables) checkCode(`const a: ${table}`, 'scheme')
  for (const code of ['a.splitlora', 'a?.sfl', 'a[b] .fl()']) checkCode(code, 'scheme')
  checkCode('const a = { fifo: b }', 'scheduler')
  const others = [
    'f({ kerf: VERSION })', 'f({ kerf: VERSION, seed: 1 })', 'report.kerf', 'f({ fl: 1, share: 2 })', 'f({ [fl]: 1 })', 'f({})',
    'type A = { fl: 1\n  share: 2\n}', 'f(...central)', 'central.a', 'a.flow', 'a.sl$', '{ fl(); sl() }',
    "import { central } from './b.ts'", "f('.sl', `a.fl`) // .sfl",
  ]
  for (const code of others) checkCode(code)
})

test('raw flags end where settings begin', () => {
  const broken = (file: string, code: string) => rulesBroken({ [file]: HEAD + code }).filter((told) => told.endsWith('flags'))
  const reads = [
    "import type { Flags } from './flags.ts'", "import { Flags as Raw } from '../program/flags.ts'", "type A = import('./flags.ts').Flags",
    "export { parseFlags } from './flags.ts'", "import * as raw from './flags.ts'\nraw.parseFlags(a)", 'export class Flags {}',
  ]
  for (const code of reads) {
    const readers = ['runtime/program/flags.ts', 'runtime/program/settings.ts', 'runtime/program/program.ts']
    for (const file of [...readers, 'scripts/a.ts']) assert.equal(broken(file, code), [], `${file} ${code}`)
    const line = code.includes('*') ? 3 : 2
    for (const file of ['runtime/program/train.ts', 'runtime/federation/flags.ts', 'targets/browser/main.ts']) {
      assert.equal(broken(file, code), [`${file}:${line}: flags`], `${file} ${code}`)
    }
  }
  assert.equal(rulesBroken({ 'runtime/program/a.ts': `${HEAD}f(flags, RUN_FLAGS, readFlags, 'Flags') // Flags` }), [])
})

test('the list of arguments is read in main.ts alone', () => {
  const reads = ['process.argv.slice(2)', 'Deno.args', 'Bun.argv', "import { argv } from 'node:process'", 'const { env, argv } = process']
  for (const code of reads) {
    assert.equal(rulesBroken({ 'targets/node/a.ts': code }), ['targets/node/a.ts:1: arguments'], code)
    assert.equal(rulesBroken({ 'targets/node/b/main.ts': code }), ['targets/node/b/main.ts:1: arguments'], code)
    assert.equal(rulesBroken({ 'targets/node/main.ts': code, 'targets/browser/main.ts': code, 'scripts/a.ts': code }), [], code)
  }
  assert.equal(rulesBroken({ 'targets/node/a.ts': "f(argv, process.argv0, a.args, 'process.argv') // process.argv" }), [])
  assert.equal(rulesBroken({ 'runtime/program/main.ts': `${HEAD}process.argv` }), ['runtime/program/main.ts:2: platform'])
})

test('every form of import is found, none in comments and text', () => {
  const found = (code: string) => findImports(maskSource(code)).map(({ specifier }) => specifier)
  assert.equal(found(`import a from 'a'\nimport {\n  b,\n} from "b"\nimport 'c'\nexport { d } from 'd'`), ['a', 'b', 'c', 'd'])
  assert.equal(found("const e = await import('e')"), ['e'])
  assert.equal(found("type F = import('f').F\nconst g = require('g')"), ['f', 'g'])
  const hidden = "// import 'a'\n/* import 'b' */\nconst c = \"import 'c'\"\nconst d = `import 'd' ${`import 'e'`} ${{}} import 'f'`"
  assert.equal(found(hidden), [])
  assert.equal(found("const a = /['\"`]/.exec(b) / 2\nimport 'c'\nconst d = `${e}`\nimport 'f'"), ['c', 'f'])
})

test('masking keeps every offset', () => {
  const text = 'const a = `x${b + `y${{ c }}`}z` // d\nconst e = /[/"]/.test("f\\"g") /* h\ni */\n'
  const { code, bare } = maskSource(text)
  assert.is(code, text.replace('// d', '    ').replace('/* h\ni */', '    \n    '))
  assert.is(bare.length, text.length)
  assert.is(bare.replace(/ +/g, ' '), 'const a = b + { c } \nconst e = .test(" ") \n \n')
})

test('runtime/ names no platform', () => {
  for (const name of ['process', 'Buffer', 'Deno', 'Bun', 'window']) {
    checkRuntime(`${name}.a()`, 'platform')
    checkRuntime(`f(globalThis.${name})`, 'platform')
    checkRuntime(`f(a.${name}, { ${name}: 1 }, '${name}') // ${name}`)
  }
  checkRuntime('const window = 1; f(window)')
  assert.equal(rulesBroken({ 'targets/node/a.ts': 'process.exit(Math.sin(Date.now()))\n' }), [])
})

test('runtime/ takes clock, timers, network, workers, entropy and terminal from ports', () => {
  const names = [
    'document', 'navigator', 'localStorage', 'indexedDB', 'crypto', 'console', '__dirname', 'setTimeout', 'setInterval', 'setImmediate',
    'queueMicrotask', 'clearTimeout', 'fetch', 'WebSocket', 'Worker', 'require',
  ]
  for (const name of names) {
    for (const code of [`${name}(a)`, `a ? ${name}(b) : c`, `if (a) { ${name}(b) }`, `globalThis.${name}(a)`, `globalThis?.${name}(a)`]) {
      checkRuntime(code, 'platform')
    }
    if (name !== 'require') {
      const values = [`f(${name})`, `f({ ${name} })`, `f(...${name})`, `a ? ${name} : b`, `let a: typeof ${name}`]
      for (const code of values) checkRuntime(code, 'platform')
    }
    checkRuntime(`host.${name}(a); host\n  .${name}(b); f({ ${name}: 1 }, '${name}(a)', \`${name}(a)\`, /${name}/) // ${name}(a)`)
    checkRuntime(`type A = {\n  ${name}(a: B): C\n  ${name}?: D; ${name}(): E }`)
    checkRuntime(`function f(a: A, ${name}: B) { ${name}(a) }`)
    checkRuntime(`function f({ ${name} }: Host) { ${name}(a) }`)
    checkRuntime(`const { a, ${name} } = host\n${name}(a)`)
    checkRuntime(`f(({ ${name} }) => ${name}(1), (${name}) => ${name}(2))`)
    const imported = `${HEAD}import type { ${name} } from './b.ts'\nlet a: ${name}`
    assert.equal(rulesBroken({ 'runtime/a.ts': imported, 'targets/node/a.ts': `${name}(a)` }), [])
  }
  checkRuntime('type Worker = { stop(): void }; let a: Worker')
  for (const code of ["globalThis['fetch'](a)", 'const { fetch } = globalThis', 'f(import.meta.url)']) checkRuntime(code, 'platform')
  checkRuntime('f(require, a.require(b), import_meta, metadata)')
  checkRuntime('f(globalThis.WebAssembly, TextEncoder, TextDecoder, Atomics, SharedArrayBuffer, URL, structuredClone(a))')
  checkRuntime('f(prefetch(a), fetched, workers, documents)')
})

test('runtime/ has no clock, no host functions, no untyped value', () => {
  for (const code of ['Date.now()', 'new Date()', 'performance.now()']) checkRuntime(code, 'clock')
  checkRuntime('new Date(timeMs)')
  for (const name of ['random', 'exp', 'pow', 'hypot', 'tanh']) checkRuntime(`Math.${name}(1)`, 'math')
  checkRuntime('const { exp } = Math', 'math')
  for (const code of ['a ** 3', '2 ** -3', '10 ** a']) checkRuntime(`f(${code})`, 'math')
  checkRuntime('4 * 1024 ** 3')
  checkRuntime('Math.sqrt(Math.fround(Math.PI)) + WebAssembly.validate(a) + new TextEncoder().encode(b)')
  for (const code of ['let a: any', 'b as any', 'let c: Map<any, string>', 'let d: (any[])[]']) checkRuntime(code, 'any')
  checkRuntime("// any: any\nf('as any')")
  assert.equal(rulesBroken({ 'runtime/a.ts': '// Head.\n' }), ['runtime/a.ts:1: head'])
})

test('no enum and no namespace outside assembly/', () => {
  for (const code of ['enum A { B }', 'export const enum A { B }', 'declare namespace A {}']) {
    assert.equal(rulesBroken({ 'scripts/a.ts': `${code}\n`, 'assembly/a.ts': `${code}\n` }), ['scripts/a.ts:1: erasable'])
  }
})

test('every suite of a test file runs', () => {
  const broken = (code: string) => rulesBroken({ ...CLEAN, 'package.json': '{ "dependencies": { "uvu": "1" } }', 'test/a.test.ts': code })
  assert.equal(broken("import { test } from 'uvu'\ntest('a', b)\ntest.run()\n"), [])
  assert.equal(broken("import { suite } from 'uvu'\nconst a = suite('a')\na('b', c)\na.run()\n"), [])
  assert.equal(broken("import { test } from 'uvu'\ntest('a', b)\n// test.run()\n"), ['test/a.test.ts:2: uvu'])
  assert.equal(broken("import { suite } from 'uvu'\nconst a = suite('a')\nconst b = suite('b')\na.run()\n"), ['test/a.test.ts:4: uvu'])
  assert.equal(broken("import { test } from 'uvu'\ntest.only('a', b)\ntest.run()\n"), ['test/a.test.ts:2: uvu'])
  assert.equal(broken("import { test } from 'node:test'\ntest.run()\n"), ['test/a.test.ts:1: uvu'])
})

test('form', () => {
  const broken = (code: string) => rulesBroken({ 'scripts/a.ts': `\n${code}` })
  assert.equal(broken('\ta'), ['scripts/a.ts:2: tab'])
  assert.equal(broken('a \nb'), ['scripts/a.ts:2: space'])
  assert.equal(broken('a\r\nb'), ['scripts/a.ts:2: space'])
  assert.equal(broken('é'.repeat(160)), [])
  assert.equal(broken('é'.repeat(161)), ['scripts/a.ts:2: length'])
  assert.equal(broken(`// ${'TO'}${'DO'} later`), ['scripts/a.ts:2: unfinished'])
  assert.equal(broken("a = '/" + "work/x'"), ['scripts/a.ts:2: path'])
  assert.equal(broken("a = './" + "work/x/home.ts'"), [])
  assert.equal(broken(`// an ${'ag'}${'ent'}`), ['scripts/a.ts:2: word'])
  assert.equal(broken(`headers['user-${'ag'}${'ent'}']`), [])
})

test.run()
