/** What a test file's output and exit code say about its tests. */

/** `notes` says in words why tests were skipped, or that none ran. */
export type Counts = { passed: number; failed: number; skipped: number; notes: readonly string[] }

const TOTAL = /^ {2}Total: +(\d+)$/gm
const PASSED = /^ {2}Passed: +(\d+)$/gm
const SKIPPED = /^ {2}Skipped: +(\d+)$/gm
const REASON = /^skipped: (.+)$/gm
const OPTIONAL = / \(optional\)$/

function sumCounts(output: string, pattern: RegExp): number {
  return [...output.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0)
}

/**
 * Reads uvu's summary and the lines of `skipTest`, whose tests uvu takes for passed. A file that ran no test, or that
 * failed without a failed test, counts as one failure. With `requireAll` every skipped test is a failed one, unless
 * `skipTest` called it optional.
 */
export function readCounts(output: string, exitCode: number | null, requireAll: boolean): Counts {
  const total = sumCounts(output, TOTAL)
  const completed = sumCounts(output, PASSED)
  const unrun = sumCounts(output, SKIPPED)
  const notes = [...output.matchAll(REASON)].map(([line]) => line)
  const skippedThemselves = Math.min(notes.length, completed)
  const optional = Math.min(notes.filter((note) => OPTIONAL.test(note)).length, completed)
  if (unrun > 0) notes.push(`skipped: ${unrun} by test.skip or test.only`)
  if (total === 0) notes.push('no test ran')

  const failed = Math.max(total - completed, total === 0 || exitCode !== 0 ? 1 : 0)
  const passed = completed - skippedThemselves
  const skipped = skippedThemselves + unrun
  return requireAll ? { passed, failed: failed + skipped - optional, skipped: optional, notes } : { passed, failed, skipped, notes }
}
