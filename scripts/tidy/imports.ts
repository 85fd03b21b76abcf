/** Who may import whom (the folders' one-way rule), and no cycles. */
import { posix } from 'node:path'
import { findImports } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

/** The npm packages that run on every host, so that runtime/ may use them. */
const RUNTIME_PACKAGES = ['@huggingface/tokenizers', 'csv-parse']

/** `target` is a path in the tree for a relative import, else undefined. */
type Edge = { file: string; line: number; specifier: string; target: string | undefined }

function resolveImport(file: string, specifier: string, files: ReadonlySet<string>): string | undefined {
  if (!specifier.startsWith('.')) return undefined
  const path = posix.join(posix.dirname(file), specifier)
  return [path, `${path}.ts`, `${path}/index.ts`].find((candidate) => files.has(candidate)) ?? path
}

function packageOf(specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

/** What the folder of `file` may import and this edge does not keep to, or undefined. */
function expectedBy({ file, specifier, target }: Edge, packages: ReadonlySet<string>): string | undefined {
  const [top, host] = file.split('/')
  if (target === undefined) {
    if (top === 'assembly') return 'a file in assembly/'
    if (top === 'runtime') return RUNTIME_PACKAGES.includes(packageOf(specifier)) ? undefined : `runtime/ or ${RUNTIME_PACKAGES.join(', ')}`
    return specifier.startsWith('node:') || packages.has(packageOf(specifier)) ? undefined : 'node: or a package in package.json'
  }
  if (/(^|\/)index\.\w+$/.test(target)) return 'the file that holds it, not an index'
  if (top === 'assembly' && !target.startsWith('assembly/')) return 'a file in assembly/'
  if (top === 'runtime' && !target.startsWith('runtime/')) return 'a file in runtime/'
  if (top === 'targets' && !target.startsWith('runtime/') && !target.startsWith(`targets/${host}/`)) return `a file in runtime/ or targets/${host}/`
  return undefined
}

/** Each cycle once, at the import that closes it in a walk in the order of names. */
function findCycles(edges: readonly Edge[]): Violation[] {
  const leaving = new Map<string, Edge[]>()
  for (const edge of edges) leaving.set(edge.file, [...(leaving.get(edge.file) ?? []), edge])
  const done = new Set<string>()
  const violations: Violation[] = []
  const visit = (file: string, path: readonly string[]): void => {
    for (const { target, line } of leaving.get(file) ?? []) {
      if (target === undefined || done.has(target)) continue
      const begin = path.indexOf(target)
      if (begin >= 0) violations.push({ file, line, rule: 'cycle', expected: 'none', got: [...path.slice(begin), target].join(' → ') })
      else visit(target, [...path, target])
    }
    done.add(file)
  }
  for (const file of leaving.keys()) if (!done.has(file)) visit(file, [file])
  return violations
}

/** @param packages the names in package.json's dependencies */
export function checkImports(sources: ReadonlyMap<string, Masked>, packages: ReadonlySet<string>): Violation[] {
  const files = new Set(sources.keys())
  const edges = [...sources].flatMap(([file, masked]) =>
    findImports(masked).map(({ specifier, line }) => ({ file, line, specifier, target: resolveImport(file, specifier, files) })))
  const strays = edges.flatMap((edge) => {
    const expected = expectedBy(edge, packages)
    return expected === undefined ? [] : [{ file: edge.file, line: edge.line, rule: 'import', expected, got: edge.specifier }]
  })
  return [...strays, ...findCycles(edges)]
}
