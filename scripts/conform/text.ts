/** TextEncoder and TextDecoder for shells of engines alone, which have neither: UTF-8, strict where `fatal` asks for it. */

class Encoder {
  encode(text: string): Uint8Array {
    const bytes: number[] = []
    for (const character of text) {
      const code = character.codePointAt(0)!
      const point = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code
      if (point < 0x80) bytes.push(point)
      else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63))
      else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63))
      else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63))
    }
    return Uint8Array.from(bytes)
  }
}

/** Lead bytes: how many follow, their own bits, and the least point that needs so many. */
const LEADS = [[0xc0, 0xe0, 1, 31, 0x80], [0xe0, 0xf0, 2, 15, 0x800], [0xf0, 0xf8, 3, 7, 0x10000]] as const

class Decoder {
  /** Strict, as the one decoder of runtime/ is. */
  decode(bytes: Uint8Array): string {
    const parts: string[] = []
    for (let i = 0; i < bytes.length;) {
      const first = bytes[i++]
      if (first < 0x80) {
        parts.push(String.fromCharCode(first))
        continue
      }
      const lead = LEADS.find(([low, high]) => first >= low && first < high)
      if (lead === undefined) throw new TypeError('utf-8: expected a lead byte')
      const [, , count, mask, least] = lead
      let point = first & mask
      for (let k = 0; k < count; k++) {
        const next = bytes[i++] ?? 0
        if ((next & 0xc0) !== 0x80) throw new TypeError('utf-8: expected a byte that continues')
        point = (point << 6) | (next & 63)
      }
      if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) throw new TypeError('utf-8: expected a point in its shortest form')
      parts.push(String.fromCodePoint(point))
    }
    return parts.join('')
  }
}

const host = globalThis as unknown as Record<string, unknown>
host.TextEncoder ??= Encoder
host.TextDecoder ??= Decoder
