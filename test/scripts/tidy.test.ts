/** Each rule of tidy on a small tree that breaks it once, and on what only looks like it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkTree } from '../../scripts/tidy/rules.ts'
import { findImports, maskSource } from '../../scripts/tidy/scan.ts'
import { describeViolation } from '../../scripts/tidy/violation.ts'

const CLEAN: Readonly<Record<string, string>> = {
  'LICENSE': 'Apache License\n',
  'package.json': '{ "dependencies": { "csv-parse": "1", "ws": "1" } }\n',
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
  assert.equal(checkTree(new Map()).map(({ file, rule }) => `${file} ${rule}`), ['LICENSE needed', 'package-lock.json needed', 'package.json needed'])
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
    ['assembly/a.ts', './b'], ['runtime/a.ts', './b.ts'], ['runtime/a.ts', 'csv-parse/sync'], ['runtime/c/a.ts', '../b.ts'],
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
  const cycle = { 'scripts/a.ts': "import './b.ts'\n", 'scripts/b.ts': "export * from './c.ts'\n", 'scripts/c.ts': "import type { A } from './a.ts'\n" }
  assert.equal(rulesBroken(cycle), ['scripts/c.ts:1: cycle'])
  assert.equal(rulesBroken({ ...cycle, 'scripts/c.ts': '' }), [])
})

test('every form of import is found, none in comments and text', () => {
  const found = (code: string) => findImports(maskSource(code)).map(({ specifier }) => specifier)
  assert.equal(found(`import a from 'a'\nimport {\n  b,\n} from "b"\nimport 'c'\nexport { d } from 'd'`), ['a', 'b', 'c', 'd'])
  assert.equal(found("const e = await import('e')"), ['e'])
  assert.equal(found("type F = import('f').F\nconst g = require('g')"), ['f', 'g'])
  assert.equal(found("// import 'a'\n/* import 'b' */\nconst c = \"import 'c'\"\nconst d = `import 'd' ${`import 'e'`} ${{}} import 'f'`"), [])
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
