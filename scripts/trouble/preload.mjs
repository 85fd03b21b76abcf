/**
 * Loaded before `kerf` in every thread of a process under trouble:
 *
 *   KERF_SLOW=10     each call of the kernel takes that many times as long, the thread being busy all the while
 *   KERF_WATCH=FILE  FILE.stall has the longest time, in milliseconds, for which the thread of the sockets was held up, and
 *                    FILE.memory the most bytes that the process has had resident
 */
import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const { KERF_SLOW, KERF_WATCH } = process.env
const factor = Number(KERF_SLOW ?? 1)
const holdsSockets = !isMainThread && /\bio\.js$/.test(process.argv[1] ?? '')
/** Shorter debts than this are kept until they are worth a wait. */
const DEBT_MS = 1
const SAMPLE_MS = 100

let debtMs = 0

function slowDown(call) {
  return (...args) => {
    const begin = performance.now()
    const result = call(...args)
    const end = performance.now()
    debtMs += (factor - 1) * (end - begin)
    if (debtMs < DEBT_MS) return result
    while (performance.now() - end < debtMs);
    debtMs = 0
    return result
  }
}

if (factor > 1) {
  const { instantiate } = WebAssembly
  WebAssembly.instantiate = async (module, imports) => {
    const { exports } = await instantiate.call(WebAssembly, module, imports)
    const slow = Object.entries(exports).map(([name, value]) => [name, typeof value === 'function' ? slowDown(value) : value])
    return { exports: Object.fromEntries(slow) }
  }
}
if (KERF_WATCH && holdsSockets) {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  setInterval(() => writeFileSync(`${KERF_WATCH}.stall`, String(delays.max / 1e6)), SAMPLE_MS).unref()
}
if (KERF_WATCH && isMainThread) {
  process.on('exit', () => writeFileSync(`${KERF_WATCH}.memory`, String(process.resourceUsage().maxRSS * 1024)))
}
