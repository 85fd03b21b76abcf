/** Builds dist/conform: the suite, one file for every host, and a small driver for each kind of host. */
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { BuildOptions } from 'esbuild'
import { hexOf } from '../../runtime/cases/tally.ts'
import { readExpected, readVectors } from './published.ts'
import type { Published } from './script.ts'

export const FOLDER = fileURLToPath(new URL('../../dist/conform/', import.meta.url))
const ROOT = fileURLToPath(new URL('.', import.meta.url))

/** What the suite needs of the files beside it. */
export function readPublished(): Published {
  const { expectation, files } = readVectors()
  const hexed = files.map(({ file, code, bytes }) => ({ file, code, hex: hexOf(bytes) }))
  return { expected: readExpected(), vectors: { expectation, files: hexed } }
}

export async function bundleSuite(folder = FOLDER): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const { expected, vectors } = readPublished()
  const define = { EXPECTED: JSON.stringify(expected), VECTORS: JSON.stringify(vectors) }
  const common = { bundle: true, logLevel: 'silent' as const, outdir: folder } satisfies BuildOptions
  await build({ ...common, entryPoints: [`${ROOT}suite.ts`], format: 'iife', target: 'es2020', platform: 'neutral', define })
  await build({
    ...common, entryPoints: [`${ROOT}drive.node.ts`], format: 'esm', target: 'node20', platform: 'node', external: ['./suite.js'],
    outExtension: { '.js': '.mjs' },
  })
  await build({ ...common, entryPoints: [`${ROOT}drive.page.ts`, `${ROOT}drive.worker.ts`, `${ROOT}drive.shell.ts`], format: 'iife', target: 'es2020' })
  await build({ ...common, entryPoints: [`${ROOT}drive.workerd.ts`], format: 'esm', target: 'es2022', external: ['./suite.js', '*.wasm'] })
}
