/** Text from outside on a terminal: no control reaches it, whichever way it is written. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { shortenName } from '../../runtime/text/columns.ts'
import { printable, printableLines } from '../../runtime/text/printable.ts'

/** Escape, CSI in one character, a bell, a line end of each kind, marks that turn text around, a backspace over what stood before. */
const ATTACKS = [
  '\x1b[2J', '\x9b31m', '\x07', '\n', '\r', '\x85', '\u2028', '\u2029', '\u202e', '\u2066', '\u200f', '\u061c', '\b\b\b', '\x7f', '\x00',
  '\x1b]0;title\x07',
]
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]/

test('a line keeps its words and loses its controls', () => {
  for (const attack of ATTACKS) {
    for (const said of [printable(`a${attack}b`), shortenName(`a${attack}b`, 40)]) {
      assert.not.match(said, CONTROL)
      assert.match(said, /^a.*b$/)
    }
  }
  assert.is(printable('喜び 👩‍🔬 naïve\u00a0é'), '喜び 👩‍🔬 naïve\u00a0é')
  assert.ok(printable('x'.repeat(1e6)).length < 2100)
})

test('lines of results stay lines, and a JSON text says the same', () => {
  const value = { label: ATTACKS.join('|') }
  const said = printableLines(`${JSON.stringify(value, null, 1)}\n`)
  assert.not.match(said.replaceAll('\n', ''), CONTROL)
  assert.equal(JSON.parse(said), value)
  assert.is(printableLines('a\tb\nc\x1b[0m\n'), 'a\tb\nc\\u001b[0m\n')
})

test.run()
