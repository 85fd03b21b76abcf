/** A contract comes from whoever answers at an address: whatever stands in it, a device refuses it by its field or can use it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clipText } from '../../runtime/error.ts'
import { parseContract } from '../../runtime/split/contract.ts'
import { refusal } from '../refusal.ts'
import { makeContract } from './model.ts'
import { STRANGE } from './strange.ts'

const contract = makeContract()
const read = (change: object) => parseContract(JSON.stringify({ ...contract, ...change }))

test('a contract comes back as it was', () => {
  assert.equal(read({}), contract)
  assert.equal(read({ codec: 'int8', scheme: 'sl', partition: 'dirichlet:0.5', weightDecay: 0, checkpointEvery: 0, seed: 0 }).codec, 'int8')
})

/** Those of them that the field may hold. */
const FITS: Readonly<Record<string, readonly unknown[]>> = {
  learningRate: [0.5, 1e300], weightDecay: [0.5, 1e300], truncate: [true], shuffle: [true], labels: [['__proto__']],
}

test('every field, of every other kind: refused by its name', () => {
  for (const name of Object.keys(contract)) {
    for (const value of STRANGE.filter((each) => !(FITS[name] ?? []).some((fit) => JSON.stringify(fit) === JSON.stringify(each)))) {
      const { field } = refusal(() => read({ [name]: value }))
      assert.ok(field.startsWith(`contract.${name}`), `${name}: ${JSON.stringify(value)}: ${field}`)
    }
    const { [name as 'seed']: _, ...without } = contract
    assert.ok(refusal(() => parseContract(JSON.stringify(without))).field.startsWith(`contract.${name}`), name)
  }
})

test('every field of the adapter, of every other kind', () => {
  for (const name of ['rank', 'alpha', 'targets'] as const) {
    for (const value of STRANGE.filter((each) => !(name === 'alpha' && each === 0.5))) {
      const { field } = refusal(() => read({ adapter: { ...contract.adapter, [name]: value } }))
      assert.is(field, `contract.adapter.${name}`, JSON.stringify(value))
    }
  }
})

test('numbers past their ends', () => {
  for (const change of [
    { steps: 0 }, { interval: 0 }, { batch: 0 }, { maxLength: 0 }, { steps: 2 ** 32 }, { seed: -1 }, { cuts: [1, 0] }, { cuts: [1, 1.5] }, { learningRate: 0 },
    { weightDecay: -1 }, { labels: ['a', 'a'] }, { labels: [' '] }, { partition: 'dirichlet:0' }, { adapter: { ...contract.adapter, rank: 1e6 } },
  ]) assert.ok(refusal(() => read(change)).field.startsWith(`contract.${Object.keys(change)[0]}`), JSON.stringify(change))
})

test('text that is no contract', () => {
  for (const text of ['', '{', 'null', '[]', '1', '"x"', '{}', '{"__proto__":{"steps":1}}']) assert.ok(refusal(() => parseContract(text)).code)
})

test('a text is cut without halves of characters, and halves that came with it are told apart from none', () => {
  for (let count = 0; count <= 6; count++) assert.ok(!/\p{Cs}/u.test(clipText('a\u{1f600}\u{1f600}b', count)), String(count))
  assert.is(clipText('a\u{1f600}b', 2), 'a\ufffd')
  assert.is(clipText('\ude00\ud83d', 9), '\ufffd\ufffd')
  assert.is(clipText('\u{1f600}', 9), '\u{1f600}')
})

test.run()
