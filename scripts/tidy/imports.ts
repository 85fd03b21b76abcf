/** Who may import whom (the folders' one-way rule), and no circles of files. */
import { posix } from 'node:path'
import { findCycles } from './cycles.ts'
import { findImports } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

/** The npm packages that run on every host, so that runtime/ may use them. */
const RUNTIME_PACKAGES = ['@noble/curves', '@noble/hashes']

/** `target` is a path in the tree for a relative import, else undefined. */
export type Edge = { file: string; line: number; specifier: string; target: string | undefined }

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
  if (top === 'targets' && !target.startsWith('runtime/') && !target.startsWith(`targets/${host}/`)) {
    return `a file in runtime/ or targets/${host}/`
  }
  return undefined
}

export function findEdges(sources: ReadonlyMap<string, Masked>): Edge[] {
  const files = new Set(sources.keys())
  return [...sources].flatMap(([file, masked]) =>
    findImports(masked).map(({ specifier, line }) => ({ file, line, specifier, target: resolveImport(file, specifier, files) })))
}

/** @param packages the names in package.json's dependencies */
export function checkImports(edges: readonly Edge[], packages: ReadonlySet<string>): Violation[] {
  const strays = edges.flatMap((edge) => {
    const expected = expectedBy(edge, packages)
    return expected === undefined ? [] : [{ file: edge.file, line: edge.line, rule: 'import', expected, got: edge.specifier }]
  })
  const links = edges.flatMap(({ file, line, target }) => (target === undefined ? [] : [{ from: file, to: target, file, line }]))
  return [...strays, ...findCycles(links, 'none')]
}
