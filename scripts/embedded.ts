/**
 * Writes the embedded script, dist/kerf.embedded.js, and prints its size as it is and gzipped.
 *
 *   npm run build:embedded        after npm run build; scripts/embedded.engines.ts runs it
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { transform } from 'esbuild'
import { bundleEmbedded } from './embedded.bundle.ts'
import { translateKernel } from './embedded.kernel.ts'

const OUTPUT = 'dist/kerf.embedded.js'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const script = await bundleEmbedded()
writeFileSync(OUTPUT, script)
const sizes = (text: string) => `${Buffer.byteLength(text)} bytes, ${gzipSync(text, { level: 9 }).length} gzipped`
console.log(`${OUTPUT}: ${sizes(script)}`)
console.log(`of these the kernel: ${sizes((await transform(translateKernel(), { minify: true, target: 'es5' })).code)}`)
