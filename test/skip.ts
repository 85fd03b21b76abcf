/**
 * Says that this test cannot run here, in a line that the test runner counts. Called in a test's body in place of its
 * assertions: `if (!existsSync(CHROMIUM)) return skipTest('no chromium')`. `optional` is for what a complete host may
 * lack too, such as data that Kerf may not pass on: such a test is never required.
 */
export function skipTest(reason: string, { optional = false } = {}): void {
  // uvu's progress dots stand on the same line until something ends it.
  process.stdout.write(`\nskipped: ${reason}${optional ? ' (optional)' : ''}\n`)
}
