/**
 * Builds dist/package/: what `npm pack` puts into the tarball beside the program. Each entry of package.json's `exports` that is
 * code is a file of runtime/package/, bundled to ESM for any host; what entries have in common is a chunk that they share, so
 * that one KerfError is one class. Types are what the compiler declares, a file for each source that an entry reaches.
 *
 *   npm run build && npm run build:embedded && npm run build:package
 *
 * Prints a row for each entry: the bytes that a host loads for it, chunks included, as they are, gzipped, and both minified.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Metafile } from 'esbuild'
import { build } from 'esbuild'
import { withoutExpectations } from './expectations.ts'

const SOURCES = 'runtime/package'
const OUT = 'dist/package'
const TYPES = `${OUT}/types`
const EMBEDDED = 'targets/embedded/main'
const TSCONFIG = `${OUT}/tsconfig.json`

type Target = { types: string; default: string }
export type Exports = Readonly<Record<string, string | Target>>

/** The entries that are bundled here, by name: `kernel` for `./kernel`. What else `exports` names comes of other builds. */
export function listEntries(exports: Exports): string[] {
  return Object.entries(exports).flatMap(([path, target]) => (
    typeof target !== 'string' && target.default.startsWith(`./${OUT}/`) ? [path.slice('./'.length)] : []))
}

async function bundle(entries: readonly string[], minify: boolean) {
  return build({
    entryPoints: entries.map((entry) => ({ in: `${SOURCES}/${entry}.ts`, out: entry })),
    outdir: OUT, bundle: true, splitting: true, format: 'esm', platform: 'neutral', target: 'es2022', chunkNames: 'chunk/[hash]',
    mainFields: ['module', 'main'], legalComments: 'inline', metafile: true, write: false, minify, plugins: [withoutExpectations], logLevel: 'silent',
  })
}

type Bundle = Awaited<ReturnType<typeof bundle>>

/** An output and the chunks that it imports, each once. */
export function reach(outputs: Metafile['outputs'], file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found
  found.add(file)
  for (const { path, external } of outputs[file].imports) {
    if (external) throw new Error(`${file}: expected a bundle that imports nothing from outside, got ${path}`)
    reach(outputs, path, found)
  }
  return found
}

function measure({ outputFiles, metafile }: Bundle, entry: string): [bytes: number, gzipped: number] {
  const files = [...reach(metafile.outputs, `${OUT}/${entry}.js`)]
  const contents = files.map((file) => outputFiles.find(({ path }) => path.endsWith(`/${file}`))!.contents)
  const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0)
  return [sum(contents.map(({ length }) => length)), sum(contents.map((content) => gzipSync(content, { level: 9 }).length))]
}

function writeBundle({ outputFiles }: Bundle): void {
  mkdirSync(`${OUT}/chunk`, { recursive: true })
  for (const { path, contents } of outputFiles) writeFileSync(path, contents)
}

/** Sources name each other by `.ts`; what is delivered has `.js` beside `.d.ts`, as a reader outside expects. */
export function nameModules(declarations: string): string {
  return declarations.replace(/(from |import\()(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2')
}

function declare(entries: readonly string[]): void {
  writeFileSync(TSCONFIG, JSON.stringify({
    extends: '../../tsconfig.json',
    // No host's own types: what a facade shows must make do with the language, WebAssembly and Response.
    compilerOptions: {
      noEmit: false, declaration: true, emitDeclarationOnly: true, stripInternal: true, rootDir: '../..', outDir: 'types', types: [],
    },
    include: [], files: [...entries.map((entry) => `../../${SOURCES}/${entry}.ts`), `../../${EMBEDDED}.ts`],
  }))
  const { status, stdout } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--project', TSCONFIG], { encoding: 'utf8' })
  rmSync(TSCONFIG)
  if (status !== 0) throw new Error(`the entries' types: expected none at fault, got\n${stdout}`)
  for (const name of readdirSync(TYPES, { recursive: true, encoding: 'utf8' })) {
    const file = posix.join(TYPES, name)
    if (file.endsWith('.d.ts')) writeFileSync(file, nameModules(readFileSync(file, 'utf8')))
  }
}

/** Of what an import of a binary gives: the bundler or the host decides. */
const BINARY = `/** An address, bytes or a module, as the bundler or the host has it. */
declare const binary: unknown
export default binary
`

/** Of the script: what it declares when it is evaluated. As a module it would export nothing. */
const SCRIPT = `/** A script, and no module: to be read as text and evaluated, where it declares one variable, \`kerf\`. */
export type Kerf = typeof import('./${EMBEDDED}.js')
export type { DeviceParts, EmbeddedDevice, WeightsFile } from './${posix.dirname(EMBEDDED)}/device.js'
`

function printRow(...cells: readonly (string | number)[]): void {
  console.log(cells.map((cell, index) => (index === 0 ? String(cell).padEnd(30) : String(cell).padStart(9))).join(' '))
}

async function buildPackage(): Promise<void> {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Exports }
  const entries = listEntries(exports)
  rmSync(OUT, { recursive: true, force: true })
  const plain = await bundle(entries, false), minified = await bundle(entries, true)
  writeBundle(plain)
  declare(entries)
  writeFileSync(`${TYPES}/binary.d.ts`, BINARY)
  writeFileSync(`${TYPES}/embedded.d.ts`, SCRIPT)
  printRow('entry', 'bytes', 'gzipped', 'minified', 'gzipped')
  for (const entry of entries) printRow(`kerf/${entry}`, ...measure(plain, entry), ...measure(minified, entry))
  for (const [path, target] of Object.entries(exports)) {
    const files = typeof target === 'string' ? [target] : [target.types, target.default]
    for (const file of files) if (!existsSync(file)) throw new Error(`exports["${path}"]: expected a file, got ${file}`)
    if (entries.includes(path.slice('./'.length)) || path === './package.json') continue
    const content = readFileSync(files[files.length - 1])
    printRow(`kerf/${path.slice('./'.length)}`, content.length, gzipSync(content, { level: 9 }).length)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)))
  try {
    await buildPackage()
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
