/** The fuzzer of scripts/fuzz.ts, small: it runs with every test, so that it can't rot. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { randomFrom } from '../wire/random.ts'
import { expectBits } from './bits.ts'
import { openChecksum } from './model.ts'
import { makeSubjects, tryFrame } from './mutate.ts'
import { besiege, withoutFoe } from './siege.ts'

const SEED = 20240
const FRAMES = 20_000
const ROUNDS = 12

test('undamaged, every subject is read', async () => {
  for (const { type, bytes, read } of makeSubjects(await openChecksum())) {
    assert.not.throws(() => read(bytes), type)
  }
})

test('damaged frames of every type are refused by name or read; nothing else comes out', async () => {
  const crc32c = await openChecksum()
  const subjects = makeSubjects(crc32c)
  const codes = new Map<string, number>()
  for (let index = 0; index < FRAMES; index++) {
    const code = tryFrame(subjects[index % subjects.length], randomFrom(SEED, index), crc32c)
    codes.set(code, (codes.get(code) ?? 0) + 1)
  }
  assert.ok((codes.get('accepted') ?? 0) < FRAMES / 2)
  // What lies behind the CRCs, the header and the shapes is reached.
  for (const code of ['share', 'contract', 'activation-offsets', 'activation-labels', 'adapter-reach', 'state-moments', 'frame-shape', 'report-loss']) {
    assert.ok(codes.has(code), code)
  }
})

test('a live server under damaged frames: the honest end with the bits of a run without the foe', async () => {
  const { vector, honest, frames, codes } = await besiege(SEED, ROUNDS)
  expectBits(vector, await withoutFoe(ROUNDS))
  assert.equal(honest, ['done', 'done'])
  assert.ok(frames > 30, String(frames))
  assert.not.ok(codes.has('server'), [...codes.keys()].join(', '))
})

test.run()
