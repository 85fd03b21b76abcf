/** How the test runner reads a test file's output. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readCounts } from '../../scripts/test.count.ts'

function summary(total: number, passed: number, skipped = 0): string {
  return `• •   (${passed} / ${total})\n\n  Total:     ${total}\n  Passed:    ${passed}\n  Skipped:   ${skipped}\n  Duration:  1.00ms\n\n`
}

function count(output: string, exitCode: number | null, requireAll = false): string {
  const { passed, failed, skipped } = readCounts(output, exitCode, requireAll)
  return `${passed} ${failed} ${skipped}`
}

test('passed and failed', () => {
  assert.is(count(summary(7, 7), 0), '7 0 0')
  assert.is(count(summary(7, 5), 1), '5 2 0')
})

test('a crash after all tests passed, and one before any ended', () => {
  assert.is(count(summary(7, 7), 1), '7 1 0')
  assert.is(count('', 1), '0 1 0')
  assert.is(count('', null), '0 1 0')
})

test('a file without tests fails', () => {
  assert.is(count('', 0), '0 1 0')
  assert.is(count(summary(0, 0), 0), '0 1 0')
  assert.equal(readCounts('', 0, false).notes, ['no test ran'])
})

test('a skipped test is not a passed one, and may be required', () => {
  const output = `• \nskipped: no browser\n${summary(3, 3)}`
  assert.is(count(output, 0), '2 0 1')
  assert.is(count(output, 0, true), '2 1 0')
  assert.equal(readCounts(output, 0, false).notes, ['skipped: no browser'])
  assert.is(count(summary(3, 3, 2), 0), '3 0 2')
  assert.is(count(summary(3, 3, 2), 0, true), '3 2 0')
  assert.is(count(`skipped: never ran\n${summary(0, 0)}`, 0), '0 1 0')
})

test('an optional test is never required', () => {
  const optional = `\nskipped: no tweets (optional)\n${summary(3, 3)}`
  assert.is(count(optional, 0), '2 0 1')
  assert.is(count(optional, 0, true), '2 0 1')
  assert.equal(readCounts(optional, 0, true).notes, ['skipped: no tweets (optional)'])
  assert.is(count(`skipped: no browser\n${optional}`, 0, true), '1 1 1')
  assert.is(count(`skipped: no tweets (optional)\n${summary(3, 3, 2)}`, 0, true), '2 2 1')
})

test.run()
