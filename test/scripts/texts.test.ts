/** The measurement of what activations tell: a small one, so that it cannot rot, and that it cheats nowhere. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { scriptArgs } from '../../scripts/runtime.ts'
import { collectEntries, createAttack, openBlocks } from '../../scripts/texts.attack.ts'
import { formatRows, measureTexts } from '../../scripts/texts.ts'
import type { Measurement } from '../../scripts/texts.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { initialVector } from '../../runtime/model/initial.ts'
import { layoutOf } from '../../runtime/model/layout.ts'
import { bundledData, modelDirectory, openModel, openTokenizer, readRows } from '../../runtime/program/model.ts'
import { createRandom } from '../../runtime/random.ts'
import { createHost } from '../../targets/node/host.ts'
import { openKernelBuild } from '../kernels.ts'

const TEXTS = 5
const LABELS = 6
const LORA = { rank: 2, alpha: 4, targets: ['query', 'value'] as const }

const { files } = createHost()
const kernel = await openKernelBuild('simd')
const model = await openModel(files, modelDirectory(files, undefined), createChecksum(kernel))
const tokenizer = await openTokenizer(files, model)
const bundled = bundledData(files)
const readIds = async (file: string, count: number) => (await readRows(files, file)).rows.slice(0, count).map(({ text }) => tokenizer.encode(text))

const layout = layoutOf(model.config, LORA, LABELS, 0, model.config.layers)
const untrained = { config: LORA, vector: initialVector(layout, 1, kernel.exports), labels: LABELS }
const measurement: Measurement = {
  kernel, model, ids: tokenizer.ids, cuts: [1], codecs: ['f32', 'int8'], contexts: 1, seed: 1, untrained,
  secret: await readIds(bundled.validation, TEXTS), shown: await readIds(bundled.train, 1000),
}

test('at cut 1 nearly every token is named, with adapters that the server does not know too', async () => {
  const random = createRandom(1, 'weights')
  const trained = { ...untrained, vector: untrained.vector.map((value) => value + 0.02 * (2 * random.uniform() - 1)) }
  const rows = await measureTexts({ ...measurement, trained })
  assert.is(rows.length, 6)
  for (const { adapters, codec, tokens, lookUp, refined } of rows) {
    assert.ok(lookUp.tokens > 0.8 * tokens, `${adapters} ${codec}, look-up: expected over 80 % of ${tokens}, got ${lookUp.tokens}`)
    assert.ok(refined.tokens >= lookUp.tokens, `${adapters} ${codec}: expected at least ${lookUp.tokens} refined, got ${refined.tokens}`)
  }
  assert.match(formatRows(rows), /^cut +adapters.*\n1 +untrained +f32 .*\n1 +untrained +int8 /)
})

test('the attack sees activations alone: noise names nothing', async () => {
  const blocks = await openBlocks(kernel, model, 1)
  const attack = createAttack(blocks, collectEntries(blocks, measurement.shown, 1, 1), tokenizer.ids)
  const random = createRandom(2, 'weights')
  const [text] = measurement.secret
  const noise = Float32Array.from({ length: text.length * blocks.width }, () => 2 * random.uniform() - 1)
  const named = attack.refine(noise, attack.lookUp(noise)).subarray(1, -1)
  const right = named.filter((token, row) => token === text[row + 1])
  assert.ok(right.length < 0.2 * named.length, `expected under 20 % of ${named.length} tokens, got ${right.length}`)
})

test('a server keeps a block: a cut behind the last one is refused', () => {
  const script = fileURLToPath(new URL('../../scripts/texts.ts', import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, scriptArgs(script, ['--cut', '4']), { encoding: 'utf8' })
  assert.is(status, 2)
  assert.match(stderr, /--cut: expected a whole number of 1 … 3, got "4"/)
})

test.run()
