import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createProgress } from '../../runtime/program/progress.ts'

const CLEAR = '\r\x1b[K'

/** A stream that keeps what is written, and a clock that a test sets. */
function open(isTTY: boolean, columns = 80) {
  const written: string[] = []
  const screen = { redraws: isTTY, columns: () => columns, write: (text: string) => { written.push(text) } }
  const clock = { ms: 0 }
  return { written, clock, progress: createProgress(screen, () => clock.ms) }
}

test('a terminal line is redrawn at most ten times a second and ends with the last state', () => {
  const { written, clock, progress } = open(true)
  for (let done = 0; done <= 1000; done++) {
    clock.ms = done
    progress.update(done, 1000, 'kerf')
  }
  progress.end()
  const draws = written.filter((text) => text.startsWith(CLEAR))
  assert.ok(draws.length >= 10 && draws.length <= 12, String(draws.length))
  assert.is(draws[0], `${CLEAR}[${'.'.repeat(24)}]   0 % 0/1000  kerf`)
  assert.is(draws[draws.length - 1], `${CLEAR}[${'#'.repeat(24)}] 100 % 1000/1000  kerf`)
  assert.is(written[written.length - 1], '\n')
})

test('the time left counts only work done since the first update', () => {
  const { written, clock, progress } = open(true)
  progress.update(900, 1000, 'resumed')
  clock.ms = 60_000
  progress.update(910, 1000, 'resumed')
  assert.match(written[written.length - 1], ' 91 % 910/1000, 9:00 left  resumed')
  clock.ms = 120_000
  progress.update(911, 1000, 'resumed')
  assert.match(written[written.length - 1], ', 16:11 left')
  clock.ms = 1_200_000
  progress.update(912, 1000, 'resumed')
  assert.match(written[written.length - 1], ', 2:26:40 left')
})

test('less done or another total is a new piece of work, shown at once', () => {
  const { written, clock, progress } = open(true)
  progress.update(1, 10, 'kerf')
  progress.update(0, 10, 'sl')
  progress.update(0, 20, 'sfl')
  assert.is(written.length, 3)
  clock.ms = 1000
  progress.update(10, 20, 'sfl')
  assert.match(written[3], ', 0:01 left  sfl')
})

test('a terminal line never reaches the last column, whatever it says', () => {
  for (const columns of [12, 40, 59, 60, 61, 80, 200]) {
    const { written, progress } = open(true, columns)
    progress.update(1, 3, `喜び😀 joy${'x'.repeat(300)}`)
    const line = written[0].slice(CLEAR.length)
    const cells = [...line].reduce((sum, character) => sum + (character < '\u1100' ? 1 : 2), 0)
    assert.ok(cells <= columns - 1, `${columns}: ${cells}`)
    assert.is(line.startsWith('['), columns > 60)
  }
})

test('a note clears the bar, stays, and the bar comes back', () => {
  const { written, progress } = open(true)
  progress.note('before')
  progress.update(1, 4, 'kerf')
  progress.note('device 3 left')
  assert.is(written[0], 'before\n')
  assert.is(written[2], `${CLEAR}device 3 left\n`)
  assert.is(written[3], written[1])
})

test('elsewhere plain lines come at the start, every tenth, every five seconds, and at the end', () => {
  const { written, clock, progress } = open(false)
  for (let done = 0; done <= 1000; done++) progress.update(done, 1000, 'kerf')
  assert.is(written.length, 11)
  assert.is(written[1], ' 10 % 100/1000  kerf\n')
  const slow = open(false)
  slow.progress.update(0, 1000, 'kerf')
  for (slow.clock.ms = 0; slow.clock.ms < 20_000; slow.clock.ms += 100) slow.progress.update(1, 1000, 'kerf')
  assert.is(slow.written.length, 4)
  slow.progress.update(2, 1000, 'saved')
  slow.progress.end()
  slow.progress.end()
  assert.match(slow.written[4], '2/1000')
  assert.is(slow.written.length, 5)
  clock.ms += 1
  progress.end()
  assert.is(written.length, 11)
  assert.not.ok([...written, ...slow.written].some((text) => /[\r\x1b]/.test(text)))
})

test('control characters cannot move the cursor; an unknown total shows the count', () => {
  const { written, progress } = open(true)
  progress.update(7, 0, 'a\nb\x1b[2Jc')
  assert.is(written[0], `${CLEAR}[${'.'.repeat(24)}] 7  a b [2Jc`)
  progress.note('x\r\ny')
  assert.is(written[1], `${CLEAR}x y\n`)
})

test('what finishes after the end is not shown: the last line is the one that says why it ended', () => {
  for (const redraws of [true, false]) {
    const { written, progress } = open(redraws)
    progress.update(1, 2, 'kerf')
    progress.end()
    const { length } = written
    progress.update(2, 2, 'kerf')
    assert.is(written.length, length)
    progress.note('kerf: why')
    assert.is(written.at(-1), 'kerf: why\n')
  }
})

test('nothing shown, nothing ended', () => {
  const { written, progress } = open(true)
  progress.end()
  assert.equal(written, [])
})

test.run()
