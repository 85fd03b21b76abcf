/** The same program on Node, Deno and Bun. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { trainAll } from './all.mjs'

/** @param {string} name */
const read = (name) => readFileSync(fileURLToPath(import.meta.resolve(name)))
const bytes = read('kerf/kerf.simd.wasm')
console.log(await trainAll(() => bytes, read('kerf/kerf.embedded.js').toString()))
