/**
 * Scripts for engines that have neither WebAssembly nor modules: an entry of today's TypeScript and the kernel, in one ES5 file that
 * declares one name and touches no other.
 *
 *   esbuild   TypeScript to one module, what is not used left out
 *   swc       that module to ES5: esbuild lowers no classes and no block scopes, TypeScript 7 has no such target any more
 *   esbuild   swc's helpers, and targets/embedded/engine.ts and kernel.ts in the place of the engine's globals, one function
 *
 * In two passes, since a name that swc's helpers need (Promise, Symbol) must be replaced in them too.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from '@swc/core'
import type { Plugin } from 'esbuild'
import { build } from 'esbuild'
import { OPEN_KERNEL, translateKernel } from './embedded.kernel.ts'
import { withoutExpectations } from './expectations.ts'

const FOLDER = fileURLToPath(new URL('../targets/embedded/', import.meta.url))
/** What stands in the place of globals, and what must have run before anything else. */
const GLOBALS = ['engine.ts', 'kernel.ts'].map((file) => join(FOLDER, file))
const FIRST = join(FOLDER, 'prototypes.ts')

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

const outside: Plugin = {
  name: 'outside',
  setup({ onResolve }) {
    // The second pass's.
    onResolve({ filter: /\b(?:engine|kernel)\.ts$/ }, ({ path, resolveDir }) => {
      const file = resolve(resolveDir, path)
      return GLOBALS.includes(file) ? { path: file, external: true } : undefined
    })
  },
}

/** The entry in one module of today's JavaScript. */
async function bundleModule(entry: string): Promise<string> {
  const imports = [`import ${JSON.stringify(FIRST)}`, `export * from ${JSON.stringify(resolve(entry))}`]
  const { outputFiles } = await build({
    stdin: { contents: imports.join('\n'), loader: 'ts', resolveDir: FOLDER }, bundle: true, write: false, format: 'esm',
    platform: 'neutral', target: 'es2022', plugins: [outside, withoutExpectations], mainFields: ['module', 'main'], logLevel: 'error',
  })
  return outputFiles[0].text
}

function lowerFiles(module: string, kernel: string): Plugin {
  return {
    name: 'es5',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^kerf:/ }, ({ path }) => ({ path, namespace: 'made' }))
      onLoad({ filter: /^kerf:module$/, namespace: 'made' }, () => (
        { contents: lower(module, 'ecmascript'), loader: 'js', resolveDir: FOLDER }))
      onLoad({ filter: /^kerf:kernel$/, namespace: 'made' }, () => ({ contents: kernel, loader: 'js' }))
      onLoad({ filter: /\b(?:engine|kernel)\.ts$/ }, ({ path }) => {
        const before = path.endsWith('kernel.ts') ? `import { ${OPEN_KERNEL} } from 'kerf:kernel'\n` : ''
        return { contents: before + lower(readFileSync(path, 'utf8'), 'typescript'), loader: 'js', resolveDir: FOLDER }
      })
    },
  }
}

export type ScriptOptions = {
  /** What the script's one variable holds: this module's exports. */
  entry: string
  name: string
  minify?: boolean
  /** As translateKernel gives it, where it is at hand. */
  kernel?: string
}

/** A script's text. */
export async function bundleScript({ entry, name, minify = true, kernel = translateKernel() }: ScriptOptions): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['kerf:module'], bundle: true, write: false, minify, format: 'iife', globalName: name, platform: 'neutral', target: 'es5',
    inject: GLOBALS, plugins: [lowerFiles(await bundleModule(entry), kernel)], mainFields: ['module', 'main'],
    logLevel: 'error', charset: 'ascii', legalComments: 'none',
  })
  return outputFiles[0].text
}

/** The embedded script: a device, and the kernel alone. */
export function bundleEmbedded(options: Pick<ScriptOptions, 'minify' | 'kernel'> = {}): Promise<string> {
  return bundleScript({ ...options, entry: join(FOLDER, 'main.ts'), name: 'kerf' })
}
