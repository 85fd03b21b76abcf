/** Builds dist/conform: the suite, one file for every host, and a small driver for each kind of host. */
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { BuildOptions, Plugin } from 'esbuild'
import { hexOf } from '../../runtime/conformance/tally.ts'
import { readExpected, readVectors } from './published.ts'

export const FOLDER = fileURLToPath(new URL('../../dist/conform/', import.meta.url))
const ROOT = fileURLToPath(new URL('.', import.meta.url))

function vectorsModule(): string {
  const { expectation, files } = readVectors()
  const hexed = files.map(({ file, code, bytes }) => ({ file, code, hex: hexOf(bytes) }))
  return `const bytesOf = (hex) => Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.substr(2 * i, 2), 16))
export default { expectation: ${JSON.stringify(expectation)}, files: ${JSON.stringify(hexed)}.map((it) => ({ ...it, bytes: bytesOf(it.hex) })) }`
}

const PUBLISHED: Plugin = {
  name: 'published',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^kerf:/ }, ({ path }) => ({ path, namespace: 'published' }))
    onLoad({ filter: /.*/, namespace: 'published' }, ({ path }) =>
      ({ contents: path === 'kerf:expected' ? `export default ${JSON.stringify(readExpected())}` : vectorsModule() }))
  },
}

export async function bundleSuite(): Promise<void> {
  mkdirSync(FOLDER, { recursive: true })
  const common = { bundle: true, logLevel: 'silent' as const, outdir: FOLDER, plugins: [PUBLISHED] } satisfies BuildOptions
  await build({ ...common, entryPoints: [`${ROOT}suite.ts`], format: 'iife', target: 'es2020', platform: 'neutral', mainFields: ['module', 'main'] })
  await build({
    ...common, entryPoints: [`${ROOT}drive.node.ts`], format: 'esm', target: 'node20', platform: 'node', external: ['./suite.js'],
    outExtension: { '.js': '.mjs' },
  })
  await build({ ...common, entryPoints: [`${ROOT}drive.page.ts`, `${ROOT}drive.worker.ts`, `${ROOT}drive.shell.ts`], format: 'iife', target: 'es2020' })
  await build({ ...common, entryPoints: [`${ROOT}drive.workerd.ts`], format: 'esm', target: 'es2022', external: ['./suite.js', '*.wasm'] })
}
