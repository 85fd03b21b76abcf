/**
 * The kernel's scalar build as ES5, by Binaryen: two lowerings, since wasm2js knows no saturating conversion and no bulk memory,
 * then wasm2js itself. What that leaves to its caller is done here:
 *
 *   crc32c     reads four bytes at once from any address; wasm2js reads words, from multiples of four alone
 *   memory     an instance stands on the caller's buffer, never on one of its own, and never grows it
 *
 * An access out of bounds, which WebAssembly refuses, reads as 0 and writes nothing; nothing of Kerf's makes one. Which NaN comes
 * out of an operation may differ, as it does between processors.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DECLARE_CELL, VIEWS, replaceCalls } from './embedded.cells.ts'

/** The name that targets/embedded/wasm.ts declares. */
export const OPEN_KERNEL = 'openScalarKernel'

const BINARYEN = join(dirname(fileURLToPath(import.meta.resolve('binaryen'))), 'bin')
const FEATURES = ['--enable-bulk-memory-opt', '--enable-nontrapping-float-to-int']
const LOWERINGS = ['--llvm-nontrapping-fptoint-lowering', '--llvm-memory-copy-fill-lowering']

function runBinaryen(folder: string, tool: string, args: readonly string[]): void {
  // A script without an ending is a module to Deno.
  const script = join(folder, `${tool}.cjs`)
  copyFileSync(join(BINARYEN, tool), script)
  const { status, stderr, error } = spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) throw new Error(`${tool}: ${error?.message ?? stderr.slice(0, 400)}`)
}

/** What wasm2js gives for a binary: a module that makes one instance on an empty buffer. */
function translate(binary: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-'))
  try {
    const lowered = join(folder, 'lowered.wasm'), script = join(folder, 'kernel.js')
    runBinaryen(folder, 'wasm-opt', [binary, ...FEATURES, ...LOWERINGS, '-o', lowered])
    runBinaryen(folder, 'wasm2js', [lowered, '-O3', '-o', script])
    return readFileSync(script, 'utf8')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What every function of the kernel reads from around it, and never changes. */
const OUTER = new RegExp(String.raw`(?<![\w$.])(?:HEAPU?(?:8|16|32)|HEAPF(?:32|64)|Math_[a-z0-9]+|\$\d+|${VIEWS.join('|')})(?![\w$])`, 'g')
/** One function of wasm2js's: its head, and its body up to the brace that closes it in the first column but one. */
const FUNCTION = /^ function (\$\d+|__wasm_\w+)(\([^)]*\)) \{\n([^]*?)\n \}$/gm

/**
 * Views, Math's functions and other functions of the kernel as variables of each function that uses them: engines without a
 * compiler look names of outer functions up by their text, each time.
 */
function bindLocally(text: string): string {
  return text.replace(FUNCTION, (whole, name: string, parameters: string, body: string) => {
    const names = [...new Set(body.match(OUTER))]
    if (names.length === 0 || name.startsWith('__wasm_memory')) return whole
    const local = (outer: string) => `own_${outer}`
    const binding = `  var ${names.map((outer) => `${local(outer)} = ${outer}`).join(', ')};`
    return ` function ${name}${parameters} {\n${binding}\n${body.replace(OUTER, local)}\n }`
  })
}

/** The bytes before the first multiple of four by themselves: fewer than four, the kernel takes one by one. */
const ALIGN_CRC = `  var run = exports.crc32c
  exports.crc32c = function (table, x, n, crc) {
    var head = Math.min(n, -x & 3)
    return run(table, x + head, n - head, run(table, x, head, crc))
  }`

/** The module's own instance, on an empty buffer, after the function that makes one. */
const OWN_INSTANCE = /\nvar memasmFunc = new ArrayBuffer\(0\);[^]*$/

/** The kernel as a module of ES5 but for its `export`, which gives `openScalarKernel`. */
export function translateKernel(binary = 'dist/kerf.scalar.wasm'): string {
  const text = translate(binary)
  if (!OWN_INSTANCE.test(text)) throw new Error('wasm2js: expected an instance of its own at the end, got another text')
  return `${DECLARE_CELL}${bindLocally(replaceCalls(text.replace(OWN_INSTANCE, '')))}
export function ${OPEN_KERNEL}(buffer) {
  var exports = asmFunc({ env: { memory: { buffer: buffer } } })
${ALIGN_CRC}
  return exports
}
`
}
