/**
 * The embedded script: the device of runtime/ and the kernel, in one ES5 file that declares `kerf` and touches no other name.
 *
 *   esbuild   TypeScript to one module, what is not used left out
 *   swc       that module to ES5: esbuild lowers no classes and no block scopes, TypeScript 7 has no such target any more
 *   esbuild   swc's helpers, the kernel and targets/embedded/engine.ts in the place of the engine's globals, one function
 *
 * In two passes, since a name that swc's helpers need (Promise, Symbol) must be replaced in them too.
 */
import { readFileSync } from 'node:fs'
import { transformSync } from '@swc/core'
import type { Plugin } from 'esbuild'
import { build } from 'esbuild'
import { OPEN_KERNEL, translateKernel } from './embedded.kernel.ts'

const FOLDER = 'targets/embedded'
const NAME = 'kerf'
/** What stands in the place of the engine's globals. */
const GLOBALS = ['engine.ts', 'kernel.ts']

/** What is true of this code and makes the script smaller: no symbols for keys, no getter that does anything, no class called. */
const ASSUMPTIONS = {
  setSpreadProperties: true, objectRestNoSymbols: true, noClassCalls: true, setPublicClassFields: true, pureGetters: true,
  ignoreFunctionLength: true, setClassMethods: true, setComputedProperties: true,
}

function lower(code: string, syntax: 'ecmascript' | 'typescript'): string {
  return transformSync(code, {
    configFile: false, swcrc: false, sourceMaps: false,
    jsc: { target: 'es5', parser: { syntax }, externalHelpers: true, assumptions: ASSUMPTIONS },
    module: { type: 'es6' },
  }).code
}

/** Reads tables of texts, which no device on this path does; it says of itself that it may not be left out. */
const leaveOut: Plugin = {
  name: 'unused',
  setup({ onResolve }) {
    onResolve({ filter: /^csv-parse\b/ }, ({ path }) => ({ path, external: true, sideEffects: false }))
  },
}

/** The device in one module of today's JavaScript; what stands in the place of globals is the second pass's. */
async function bundleDevice(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [`${FOLDER}/main.ts`], bundle: true, write: false, format: 'esm', platform: 'neutral', target: 'es2022',
    external: GLOBALS.map((file) => `./${file}`), plugins: [leaveOut], mainFields: ['module', 'main'], logLevel: 'error',
  })
  return outputFiles[0].text
}

function lowerFiles(device: string, kernel: string): Plugin {
  return {
    name: 'es5',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^kerf:/ }, ({ path }) => ({ path, namespace: 'made' }))
      onLoad({ filter: /^kerf:device$/, namespace: 'made' }, () => ({ contents: lower(device, 'ecmascript'), loader: 'js', resolveDir: FOLDER }))
      onLoad({ filter: /^kerf:kernel$/, namespace: 'made' }, () => ({ contents: kernel, loader: 'js' }))
      onLoad({ filter: /targets[\\/]embedded[\\/]\w+\.ts$/ }, ({ path }) => {
        const before = path.endsWith('kernel.ts') ? `import { ${OPEN_KERNEL} } from 'kerf:kernel'\n` : ''
        return { contents: before + lower(readFileSync(path, 'utf8'), 'typescript'), loader: 'js', resolveDir: FOLDER }
      })
    },
  }
}

/** The script's text. `kernel`: as translateKernel gives it. */
export async function bundleEmbedded({ kernel = translateKernel(), minify = true } = {}): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['kerf:device'], bundle: true, write: false, minify, format: 'iife', globalName: NAME, platform: 'neutral', target: 'es5',
    inject: GLOBALS.map((file) => `${FOLDER}/${file}`), plugins: [lowerFiles(await bundleDevice(), kernel)],
    mainFields: ['module', 'main'], logLevel: 'error', charset: 'ascii', legalComments: 'none',
  })
  return outputFiles[0].text
}
