/**
 * A reader of WebAssembly binaries (core specification 2.0, chapter 5), just deep
 * enough to say which sections a module has and which instructions its code holds.
 */

/** Section id → its contents. */
export type Sections = ReadonlyMap<number, Uint8Array>

export const SECTION = { imports: 2, memory: 5, globals: 6, exports: 7, start: 8, code: 10, data: 11 } as const
/** First bytes of vector and of atomic instructions, and where relaxed SIMD begins among the former. */
export const VECTOR = 0xfd
export const ATOMIC = 0xfe
export const RELAXED = 0x100

const BULK = 0xfc

class Reader {
  private readonly bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes
    this.at = at
  }

  get ended(): boolean {
    return this.at >= this.bytes.length
  }

  byte(): number {
    return this.bytes[this.at++]
  }

  /** LEB128; the value is right for u32, the length for every integer. */
  integer(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
  }

  take(count: number): Uint8Array {
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.integer()))
  }

  integers(count: number): void {
    for (let i = 0; i < count; i++) this.integer()
  }
}

export function readSections(binary: Uint8Array): Sections {
  const reader = new Reader(binary, 8)
  const sections = new Map<number, Uint8Array>()
  while (!reader.ended) {
    const id = reader.byte()
    sections.set(id, reader.take(reader.integer()))
  }
  return sections
}

const EXTERNAL_KINDS = ['function', 'table', 'memory', 'global'] as const
const MEMORY = EXTERNAL_KINDS.indexOf('memory')

/** Name and kind of each export, as `WebAssembly.Module.exports` gives them, for hosts too that could not compile the module. */
export function readExports(contents: Uint8Array): { name: string; kind: string }[] {
  const reader = new Reader(contents)
  return Array.from({ length: reader.integer() }, () => {
    const name = reader.name()
    const kind = EXTERNAL_KINDS[reader.byte()]
    reader.integer()
    return { name, kind }
  })
}

/** Imports that are memories, each with its limits in pages; throws at an import of another kind. */
export function readMemories(contents: Uint8Array): { module: string; name: string; shared: boolean; initial: number; maximum?: number }[] {
  const reader = new Reader(contents)
  return Array.from({ length: reader.integer() }, () => {
    const module = reader.name(), name = reader.name(), kind = reader.byte()
    if (kind !== MEMORY) throw new Error(`import ${name}: expected a memory, got kind ${kind}`)
    const flags = reader.byte(), initial = reader.integer()
    return { module, name, shared: (flags & 2) !== 0, initial, ...((flags & 1) !== 0 && { maximum: reader.integer() }) }
  })
}

/** Prefix (0 for plain instructions) and opcode of each instruction of the code section. */
export function* readInstructions(code: Uint8Array): Generator<{ prefix: number; opcode: number }> {
  const reader = new Reader(code)
  for (let count = reader.integer(); count > 0; count--) {
    const body = new Reader(reader.take(reader.integer()))
    for (let groups = body.integer(); groups > 0; groups--) {
      body.integer()
      body.byte()
    }
    while (!body.ended) {
      const first = body.byte()
      const prefix = first >= BULK && first <= ATOMIC ? first : 0
      const opcode = prefix ? body.integer() : first
      skipImmediates(body, prefix, opcode)
      yield { prefix, opcode }
    }
  }
}

/** Ranges of opcodes: blocks, branches, call, variables, memory.size to i64.const; then control, drop and select, numbers. */
const ONE_IMMEDIATE = [[0x02, 0x04], [0x0c, 0x0d], [0x10, 0x10], [0x20, 0x24], [0x3f, 0x42]] as const
const NO_IMMEDIATE = [[0x00, 0x01], [0x05, 0x05], [0x0b, 0x0b], [0x0f, 0x0f], [0x1a, 0x1b], [0x45, 0xc4]] as const

const between = (value: number, low: number, high: number) => value >= low && value <= high

/** Moves past what follows an opcode; throws at one that the kernel has no business with. */
function skipImmediates(body: Reader, prefix: number, opcode: number): void {
  if (prefix === VECTOR) return skipVector(body, opcode)
  if (prefix === BULK) return body.integers(opcode < 8 ? 0 : opcode === 11 ? 1 : 2)
  if (prefix === ATOMIC) return body.integers(opcode === 3 ? 1 : 2)
  if (opcode === 0x0e) return body.integers(body.integer() + 1) // br_table
  if (opcode === 0x43) return void body.take(4) // f32.const
  if (opcode === 0x44) return void body.take(8) // f64.const
  if (opcode === 0x11 || between(opcode, 0x28, 0x3e)) return body.integers(2) // call_indirect; load and store
  const one = ONE_IMMEDIATE.some(([low, high]) => between(opcode, low, high))
  if (!one && !NO_IMMEDIATE.some(([low, high]) => between(opcode, low, high))) throw new Error(`opcode: expected a known one, got 0x${opcode.toString(16)}`)
  body.integers(one ? 1 : 0)
}

function skipVector(body: Reader, opcode: number): void {
  if (opcode <= 11 || opcode === 92 || opcode === 93) body.integers(2) // load, store
  else if (opcode <= 13) body.take(16) // const, shuffle
  else if (between(opcode, 21, 34)) body.take(1) // lanes
  else if (between(opcode, 84, 91)) {
    body.integers(2)
    body.take(1)
  }
}
