/**
 * Writes the embedded script, dist/kerf.embedded.js, and prints its size as it is and gzipped.
 *
 *   node --import tsx scripts/embedded.ts        after npm run build
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { bundleEmbedded } from './embedded.bundle.ts'
import { translateKernel } from './embedded.kernel.ts'

const OUTPUT = 'dist/kerf.embedded.js'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const kernel = translateKernel()
const script = await bundleEmbedded({ kernel })
writeFileSync(OUTPUT, script)
writeFileSync('dist/kerf.embedded.plain.js', await bundleEmbedded({ kernel, minify: false }))
const sizes = (text: string) => `${Buffer.byteLength(text)} bytes, ${gzipSync(text, { level: 9 }).length} gzipped`
console.log(`${OUTPUT}: ${sizes(script)}`)
