/**
 * Says that this test cannot run here, in a line that the test runner counts. Called in a test's body in place of its
 * assertions: `if (!existsSync(CHROMIUM)) return skipTest('no chromium')`.
 */
export function skipTest(reason: string): void {
  // uvu's progress dots stand on the same line until something ends it.
  process.stdout.write(`\nskipped: ${reason}\n`)
}
