/** Lines of files and of streams: one rule, however a stream is cut into parts. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readLines, splitLines } from '../../runtime/text/lines.ts'
import { decodeUtf8 } from '../../runtime/text/utf8.ts'
import { refusal, refusalOf } from '../refusal.ts'

const encode = (text: string) => new TextEncoder().encode(text)
const utf16 = (text: string) => Uint8Array.from([0xff, 0xfe, ...Array.from(text, (char) => [char.charCodeAt(0), 0]).flat()])

/** The lines of bytes that come in parts of `size`, each in memory that is used again. */
async function linesOf(bytes: Uint8Array, size: number): Promise<string[]> {
  const memory = new Uint8Array(size)
  async function* parts() {
    for (let at = 0; at < bytes.length; at += size) {
      memory.set(bytes.subarray(at, at + size))
      yield memory.subarray(0, Math.min(size, bytes.length - at))
    }
  }
  const lines: string[] = []
  for await (const { at, line } of readLines(parts(), 'stdin')) {
    assert.is(at, `stdin:${lines.length + 1}`)
    lines.push(line)
  }
  return lines
}

const TEXTS: Readonly<Record<string, readonly string[]>> = {
  '': [], 'a': ['a'], 'a\n': ['a'], 'a\r\nb': ['a', 'b'], '\n\na\n': ['', '', 'a'],
  // What else some hosts' readers take for the end of a line.
  'a\u2028b\u2029c\u0085d\vé\f\n\u{1F600}\n': ['a\u2028b\u2029c\u0085d\vé\f', '\u{1F600}'],
  'a \uFEFFb\n\uFEFFc\n': ['a \uFEFFb', '\uFEFFc'],
}

test('lines end at \\n and \\r\\n only, in files and in streams of any parts', async () => {
  for (const [text, lines] of Object.entries(TEXTS)) {
    assert.equal(splitLines(text, 'file').map(({ line }) => line), lines)
    for (const size of [1, 2, 3, 5, 100]) {
      assert.equal(await linesOf(encode(text), size), lines, `${JSON.stringify(text)} in parts of ${size}`)
      assert.equal(await linesOf(encode(`\uFEFF${text}`), size), lines.length === 0 ? [''] : lines, 'after a byte order mark')
    }
  }
})

test('a carriage return alone is refused by its line', async () => {
  for (const [text, number] of [['a\rb', 1], ['a\nb\r', 2], ['a\r\r\n', 1], ['a\n\rb\n', 2], ['a;x\rb;y\r', 1]] as const) {
    const message = `:${number}: expected lines that end in \\n or \\r\\n, got "a carriage return alone"`
    assert.is(refusal(() => splitLines(text, 'file')).message, `file${message}`)
    for (const size of [1, 100]) assert.is((await refusalOf(linesOf(encode(text), size))).message, `stdin${message}`)
  }
})

test('a stream in another encoding is refused by its line', async () => {
  const latin = Uint8Array.of(0x61, 10, 0x63, 0x61, 0x66, 0xe9, 10)
  const cut = encode('ok\né').subarray(0, -1)
  for (const [bytes, message] of [
    [latin, 'stdin:2: expected UTF-8 text, got "other bytes"'],
    [cut, 'stdin:2: expected UTF-8 text, got "other bytes"'],
    [utf16('the cat\r\nb\r\n'), 'stdin:1: expected UTF-8 text, got "UTF-16, by its byte order mark"'],
    [utf16('\u000Aa\n').map((_, index, all) => all[index ^ 1]), 'stdin:1: expected UTF-8 text, got "UTF-16, by its byte order mark"'],
    [utf16('the cat\n').subarray(2), 'stdin:1: expected UTF-8 text, got "a NUL, as in UTF-16 without its mark"'],
  ] as const) {
    for (const size of [1, 3, 100]) assert.is((await refusalOf(linesOf(bytes, size))).message, message)
  }
})

test('a file is decoded whole by the same rule', () => {
  assert.is(decodeUtf8(encode('\uFEFFa\uFEFF'), 'file'), 'a\uFEFF')
  for (const [bytes, got] of [
    [[0xff, 0xfe, 0x61, 0], 'UTF-16'], [[0xfe, 0xff, 0, 0x61], 'UTF-16'], [[0xff, 0xfe, 0, 0, 0x61, 0, 0, 0], 'UTF-32'],
  ] as const) {
    const { message } = refusal(() => decodeUtf8(Uint8Array.from(bytes), 'file'))
    assert.is(message, `file: expected UTF-8 text, got "${got}, by its byte order mark"`)
  }
  for (const bytes of [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x61, 0xc3]]) {
    assert.is(refusal(() => decodeUtf8(Uint8Array.from(bytes), 'file')).message, 'file: expected UTF-8 text, got "other bytes"')
  }
})

test.run()
