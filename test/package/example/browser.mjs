/** The same program in a browser: a bundler gives the binary's address, and its Response streams into the compiler. */
import { trainAll } from './all.mjs'
import address from 'kerf/kerf.simd.wasm'

/** @type {Response[]} */
const answers = []
for (let count = 0; count < 3; count++) answers.push(await fetch(String(address)))
document.body.textContent = await trainAll(() => /** @type {Response} */ (answers.pop()))
