import { RUNTIME, RUNTIME_TITLE } from '../scripts/runtime.ts'

/**
 * Says that this test cannot run here, in a line that the test runner counts. Called in a test's body in place of its
 * assertions: `if (!existsSync(CHROMIUM)) return skipTest('no chromium')`. `optional` is for what a complete host may
 * lack too, such as data that Kerf may not pass on: such a test is never required.
 */
export function skipTest(reason: string, { optional = false } = {}): void {
  // uvu's progress dots stand on the same line until something ends it.
  process.stdout.write(`\nskipped: ${reason}${optional ? ' (optional)' : ''}\n`)
}

/** Whether a test is left out here since it is about `what`, which Node alone has: `if (skipUnlessNode("V8's flags")) return`. */
export function skipUnlessNode(what: string): boolean {
  if (RUNTIME !== 'node') skipTest(`${what}: Node's own, and this is ${RUNTIME_TITLE}`, { optional: true })
  return RUNTIME !== 'node'
}
