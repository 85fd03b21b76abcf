/** Odd texts from a seed: all that a tokenizer may stumble over, side by side. */
import { createRandom } from '../../runtime/random.ts'

/** Ranges of code points, each drawn as often as the others. */
const RANGES: readonly (readonly [number, number])[] = [
  [0x20, 0x7e], [0x41, 0x5a], [0x61, 0x7a], [0x00, 0x1f], [0x7f, 0xbf], [0xc0, 0x24f], [0x250, 0x2ff], [0x300, 0x36f],
  [0x370, 0x3ff], [0x400, 0x52f],
  [0x531, 0x5f4], [0x600, 0x6ff], [0x8d0, 0x8ff], [0x900, 0xdff], [0xe00, 0xfff], [0x1000, 0x11ff], [0x10a0, 0x10ff],
  [0x1680, 0x17ff], [0x1ab0, 0x1aff],
  [0x1c80, 0x1c8f], [0x1d00, 0x1fff], [0x2000, 0x206f], [0x20a0, 0x214f], [0x2190, 0x27ff], [0x2e00, 0x303f], [0x3040, 0x30ff],
  [0x3400, 0x4dff],
  [0x4e00, 0x9fff], [0xa640, 0xa7ff], [0xa800, 0xabff], [0xac00, 0xd7a3], [0xe000, 0xe0ff], [0xf900, 0xfaff], [0xfb00, 0xfdff],
  [0xfe00, 0xffff],
  [0x10000, 0x10fff], [0x11000, 0x11fff], [0x16e40, 0x16eff], [0x1d15e, 0x1d1ff], [0x1d400, 0x1d7ff], [0x1e000, 0x1e95f],
  [0x1f000, 0x1faff],
  [0x20000, 0x2ffff], [0x2b820, 0x2b91f], [0x30000, 0x323af], [0xe0000, 0xe01ff], [0xf0000, 0x10ffff],
]
const MARKS = [
  '\u0301', '\u0323', '\u0307', '\u0345', '\u3099', '\u302e', '\u{1d165}', '\u0f71', '\u0fb2', '\u0930\u093c', '\u08d4', '\u0898',
  '\u05b0', '\u094d',
]
const BLANKS = [
  ' ', '  ', '\t', '\n', '\r\n', '\v', '\f', '\u0085', '\u00a0', '\u1680', '\u2003', '\u2028', '\u3000', '\u200b', '\ufeff',
  '\u00ad', '\u0000',
]

export function makeTexts(count: number, seed: number, words: readonly string[], tokens: readonly string[]): string[] {
  return Array.from({ length: count }, (_, index) => {
    const random = createRandom(seed, 'shuffle', index)
    const pick = <T>(list: readonly T[]) => list[random.below(list.length)]
    const point = () => {
      const [first, last] = random.below(50) === 0 ? [0, 0x10ffff] : pick(RANGES)
      const drawn = first + random.below(last - first + 1)
      return drawn >= 0xd800 && drawn <= 0xdfff ? '\ufffd' : String.fromCodePoint(drawn)
    }
    const swap = (text: string) => pick([text, text.toUpperCase(), text[0].toUpperCase() + text.slice(1)])
    const kinds = [
      point, point, () => pick(words), () => swap(pick(words)), () => pick(BLANKS), () => ' ',
      () => pick(MARKS) + pick(MARKS) + pick(MARKS),
      () => swap(pick(tokens)), () => pick(BLANKS) + pick(tokens) + pick(BLANKS), () => pick(words) + pick(tokens) + pick(words),
      () => pick('aé中#[]'.split('')).repeat(90 + random.below(30)),
    ]
    return Array.from({ length: 1 + random.below(16) }, () => pick(random.below(12) === 0 ? kinds : kinds.slice(0, -1))()).join('')
  })
}
