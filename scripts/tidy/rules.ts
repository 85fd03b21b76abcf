/** All rules over a tree given as path → text. */
import { checkFlags } from './flags.ts'
import { checkImports, findEdges } from './imports.ts'
import { checkNames } from './names.ts'
import { checkRooms } from './rooms.ts'
import { findImports, maskSource } from './scan.ts'
import type { Masked } from './scan.ts'
import { checkText } from './text.ts'
import type { Violation } from './violation.ts'

const NEEDED = ['LICENSE', 'package.json', 'package-lock.json']
const PROGRAM = /\.(ts|py)$/
const NAME = /^[a-z][a-z0-9]*(\.[a-z0-9]+)*$/

function checkName(file: string): Violation[] {
  const name = file.slice(file.lastIndexOf('/') + 1)
  if (file.endsWith('.wasm')) return [{ file, line: 1, rule: 'binary', expected: 'no compiled kernel', got: name }]
  if (!PROGRAM.test(file)) return []
  if (name === 'index.ts' && !file.startsWith('assembly/')) {
    return [{ file, line: 1, rule: 'index', expected: 'a noun for its one idea', got: name }]
  }
  return NAME.test(name) ? [] : [{ file, line: 1, rule: 'name', expected: 'a lowercase noun, variants after dots', got: name }]
}

/** uvu runs nothing without run(), and says nothing: every suite of a test file must call it. */
function checkTest(file: string, masked: Masked): Violation[] {
  const { bare } = masked
  const missing = (line: number, expected: string, got: string): Violation => ({ file, line, rule: 'uvu', expected, got })
  if (!findImports(masked).some(({ specifier }) => specifier === 'uvu')) return [missing(1, 'an import of uvu', 'none')]
  const named = [...bare.matchAll(/\b(?:const|let)\s+(\w+)\s*=\s*suite\b/g)].map(([, name]) => name)
  const suites = /(?<![\w$.])test\s*\(/.test(bare) || named.length === 0 ? ['test', ...named] : named
  const lines = bare.trimEnd().split('\n')
  const narrowed = lines.flatMap((line, index) => (/^\s*\w+\.only\s*\(/.test(line) ? [missing(index + 1, 'every test', line.trim())] : []))
  const idle = suites.filter((suite) => !new RegExp(`^\\s*${suite}\\.run\\(\\)`, 'm').test(bare))
  return [...narrowed, ...idle.map((suite) => missing(lines.length, `${suite}.run()`, 'none'))]
}

function packagesOf(manifest: string): Set<string> {
  const { dependencies, devDependencies } = JSON.parse(manifest) as Record<string, object | undefined>
  return new Set([...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})])
}

/** @param tree every file of the project; the text of a binary file does not matter */
export function checkTree(tree: ReadonlyMap<string, string>): Violation[] {
  const sources = new Map([...tree].filter(([file]) => file.endsWith('.ts')).map(([file, text]) => [file, maskSource(text)]))
  const absent = NEEDED.filter((file) => !tree.has(file))
    .map((file) => ({ file, line: 1, rule: 'needed', expected: 'a file', got: 'none' }))
  const alone = [...tree].flatMap(([file, text]) => {
    const masked = sources.get(file)
    const test = masked !== undefined && /^test\/.*\.test\.ts$/.test(file) ? checkTest(file, masked) : []
    const told = masked === undefined ? [] : [...checkNames(file, masked), ...checkFlags(file, masked)]
    return [...checkName(file), ...checkText(file, text, masked), ...told, ...test]
  })
  const edges = findEdges(sources)
  const imports = checkImports(edges, packagesOf(tree.get('package.json') ?? '{}'))
  const found = [...absent, ...alone, ...imports, ...checkRooms([...tree.keys()], sources, edges)]
  return found.sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line))
}
