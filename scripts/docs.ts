/**
 * Builds dist/docs/: pages of every function and type that the package's entries show, by TypeDoc.
 *
 *   npm run build:package && npm run docs
 *
 * TypeDoc reads the declarations that are delivered. It needs a TypeScript with a programming interface, which version 7 has not:
 * npx brings both, with one of version 6, and installs neither here. Exit code 1 where it finds an error or a warning.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Exports } from './package.ts'
import { listEntries } from './package.ts'

const TYPEDOC = ['typedoc@0.28.20', 'typescript@6.0.3']
const OPTIONS = 'dist/typedoc.json'
const TSCONFIG = 'dist/typedoc.tsconfig.json'
/** Of tables that types are read off, and of functions' own arguments. */
const INNER = [
  'TABLE', 'ROWS', 'RecordOf', 'Write', 'StageSpec', 'AdamwArguments', 'AttentionArguments', 'AttentionBackwardArguments',
  'BlockBackwardArguments', 'BlockForwardArguments', 'EmbeddingArguments', 'EmbeddingBackwardArguments', 'LayerNormArguments',
  'LayerNormBackwardArguments',
]

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Exports }
const files = listEntries(exports).map((entry) => `package/types/runtime/package/${entry}.d.ts`)
writeFileSync(TSCONFIG, JSON.stringify({
  compilerOptions: { module: 'NodeNext', target: 'ES2022', lib: ['ES2023', 'DOM'], types: [], strict: true, noEmit: true }, files,
}))
writeFileSync(OPTIONS, JSON.stringify({
  entryPoints: files, tsconfig: 'typedoc.tsconfig.json', out: 'docs', name: 'Kerf', readme: 'none', excludePrivate: true, includeVersion: true,
  intentionallyNotExported: INNER, treatWarningsAsErrors: true,
}))
const packages = TYPEDOC.flatMap((name) => ['--package', name])
const { status } = spawnSync('npx', ['--yes', ...packages, 'typedoc', '--options', OPTIONS], { stdio: 'inherit' })
for (const file of [OPTIONS, TSCONFIG]) rmSync(file)
process.exitCode = status === 0 ? 0 : 1
