/** The same program on Node, Deno and Bun. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { trainAll } from './all.mjs'

const bytes = readFileSync(fileURLToPath(import.meta.resolve('kerf/kerf.simd.wasm')))
console.log(await trainAll(() => bytes))
