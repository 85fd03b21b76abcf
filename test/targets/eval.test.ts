/** `kerf eval` against the float64 oracle, and its scores against counting by hand. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { majorityShare, scoreAll, scoreLabels } from '../../runtime/model/scores.ts'
import { formatScores } from '../../runtime/report/scores.ts'
import { parseDataset } from '../../runtime/data/dataset.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { decodeSafetensors } from '../../runtime/wire/safetensors.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { distance } from '../distance.ts'
import { evaluateDirectory } from '../oracle/directory.ts'
import { makeTinyAdapter, makeTinyData, makeTinyModel } from '../tiny.ts'

type Report = {
  rows: number; labels: string[]; accuracy: number; loss: number; macroF1: number; majorityAccuracy: number
  perLabel: { label: string; precision: number; recall: number; f1: number; rows: number; answered: number }[]; confusion: number[][]
}

const LABELS = ['joy', 'anger', 'fear']
const LORA: AdapterConfig = { rank: 2, alpha: 3, targets: ['query', 'value', 'down'] }
const at = makeDirectory()
const [model, adapter, data, logitsFile] = ['model', 'adapter', 'data.txt', 'logits/all.safetensors'].map((name) => join(at, name))
const config = makeTinyModel(model)
makeTinyAdapter(adapter, config, LORA, LABELS)
makeTinyData(data, 70, LABELS)
const dataset = parseDataset(data, readFileSync(data, 'utf8'), { labels: LABELS })

function readLogits(file: string): { values: Float32Array; shape: readonly number[] } {
  const { tensors } = decodeSafetensors(readFileSync(file))
  assert.equal([...tensors.keys()], ['logits'])
  const { dtype, shape, data: bytes } = tensors.get('logits')!
  assert.is(dtype, 'F32')
  return { values: new Float32Array(new Uint8Array(bytes).buffer), shape }
}

test('logits in file order and all scores, over more rows than a batch', () => {
  const report = readKerf<Report>(['eval', '--model', model, '--adapter', adapter, '--data', data, '--logits', logitsFile])
  const expected = evaluateDirectory(model, config, { directory: adapter, config: LORA }, dataset)
  const { values, shape } = readLogits(logitsFile)
  assert.equal(shape, [70, 3])
  assert.ok(distance(values, expected.logits) < 1e-5)
  assert.ok(Math.abs(report.loss - expected.loss) < 1e-5)
  assert.equal(report.labels, LABELS)
  const answers = Array.from({ length: 70 }, (_, row) => {
    const scores = values.subarray(3 * row, 3 * row + 3)
    return scores.indexOf(Math.max(...scores))
  })
  const count = (truth: number, answer: number) => answers.filter((given, row) => given === answer && dataset.labels[row] === truth).length
  const confusion = LABELS.map((_, truth) => LABELS.map((__, answer) => count(truth, answer)))
  assert.equal(report.confusion, confusion)
  assert.is(report.accuracy, confusion.reduce((sum, counts, label) => sum + counts[label], 0) / 70)
  assert.is(report.majorityAccuracy, Math.max(...report.perLabel.map(({ rows }) => rows)) / 70)
  assert.ok(Math.abs(report.macroF1 - report.perLabel.reduce((sum, { f1 }) => sum + f1, 0) / 3) < 1e-12)
})

test('both builds give the same bytes', () => {
  const call = (build: string) => {
    const file = join(at, `${build}.safetensors`)
    readKerf(['eval', '--model', model, '--adapter', adapter, '--data', data, '--logits', file, '--build', build])
    return readFileSync(file)
  }
  assert.equal(call('scalar'), call('simd'))
})

test('a table for people', () => {
  const { exitCode, stdout } = runKerf(['eval', '--model', model, '--adapter', adapter, '--data', data])
  assert.is(exitCode, 0)
  assert.match(stdout, /label +precision +recall +F1 +rows +answered\njoy +\d\.\d{3}/)
  assert.match(stdout, /accuracy \d+\.\d %  loss \d+\.\d+  macro F1 0\.\d{3}  rows 70/)
  assert.match(stdout, /truth \\ answer +joy +anger +fear\njoy +\d+ +\d+ +\d+/)
})

test("a model's own classifier, with the names in its configuration", () => {
  const own = join(at, 'own')
  const ownConfig = makeTinyModel(own, { labels: LABELS, layers: 1 })
  const report = readKerf<Report>(['eval', '--model', own, '--data', data, '--labels', LABELS.join(), '--logits', logitsFile])
  assert.equal(report.labels, LABELS)
  assert.ok(distance(readLogits(logitsFile).values, evaluateDirectory(own, ownConfig, null, dataset).logits) < 1e-5)
})

test('label names: labels.json, then --labels, and never a guess', () => {
  const bare = join(at, 'bare')
  makeTinyAdapter(bare, config, LORA, LABELS)
  rmSync(join(bare, 'labels.json'))
  const call = (...more: string[]) => readKerf<Report>(['eval', '--model', model, '--adapter', bare, '--data', data, ...more]).labels
  assert.equal(call('--labels', 'joy,anger,fear'), LABELS)
  const expected = /^kerf: --labels: expected 3 names in .*bare.*, which has none, got "none; .*data\.txt has anger, fear, joy"\n$/
  refused(['--model', model, '--adapter', bare, '--data', data], expected)
})

function refused(args: readonly string[], message: RegExp): void {
  const { exitCode, stdout, stderr } = runKerf(['eval', ...args])
  assert.is(exitCode, 2)
  assert.is(stdout, '')
  assert.match(stderr, message)
  assert.is(stderr.trimEnd().split('\n').length, 1)
}

test('refuses by name', () => {
  const both = ['--model', model, '--adapter', adapter]
  const untrained = /^kerf: --adapter: expected a PEFT directory, since .*model has no classifier and so nothing was trained, got "none"/
  refused(['--model', model, '--data', data], untrained)
  refused([...both, '--data', join(at, 'none.txt')], /none\.txt: expected a file, got "none"/)
  refused(['--model', model, '--adapter', at, '--data', data], /adapter_config\.json: expected a file/)
  refused([...both, '--data', data, '--labels', 'a,b,c'], /--labels: expected joy,anger,fear as in .*labels\.json, got "a,b,c"/)
  refused([...both, '--data', data, '--max-length', '5'], /data\.txt row \d+: expected at most 5 tokens, got \d+/)
  const own = join(at, 'own-labels')
  makeTinyModel(own, { labels: LABELS, layers: 1 })
  const others = /--labels: expected joy,anger,fear as in .*own-labels.config\.json, got "anger,fear,joy"/
  refused(['--model', own, '--data', data, '--labels', 'anger,fear,joy'], others)
  const strange = join(at, 'strange.txt')
  writeFileSync(strange, 'the rain;joy\nthe sun;grief\n')
  refused([...both, '--data', strange], /strange\.txt:2\.label: expected one of joy, anger, fear, got "grief"/)
  const wrong = join(at, 'wrong')
  makeTinyAdapter(wrong, config, LORA, [...LABELS, 'love'])
  writeFileSync(join(wrong, 'labels.json'), '["joy","anger","fear"]')
  refused(['--model', model, '--adapter', wrong, '--data', data], /labels: expected 4 names/)
  writeFileSync(join(wrong, 'labels.json'), '{"joy":')
  refused(['--model', model, '--adapter', wrong, '--data', data], /labels\.json: expected a JSON list of label names/)
})

test('cuts longer texts when told to', () => {
  const report = readKerf<Report>(['eval', '--model', model, '--adapter', adapter, '--data', data, '--max-length', '5', '--truncate'])
  assert.is(report.rows, 70)
})

test('scores of labels that never stand or are never answered', () => {
  const scores = scoreLabels([[3, 1, 0], [0, 0, 0], [2, 0, 0]], ['a', 'b', 'c'])
  assert.equal(scores.map(({ precision, recall, f1 }) => [precision, recall, f1]), [[3 / 5, 3 / 4, 6 / 9], [0, 0, 0], [0, 0, 0]])
  assert.equal(scores.map(({ rows, answered }) => [rows, answered]), [[4, 5], [0, 1], [2, 0]])
})

test('scores of all: a label that neither stands nor is answered says nothing, and no rows are no score', () => {
  assert.equal(scoreAll([[3, 1, 0], [0, 0, 0], [2, 0, 0]]), { accuracy: 3 / 6, macroF1: 6 / 9 / 3 })
  assert.equal(scoreAll([[3, 0, 1], [0, 0, 0], [0, 0, 2]]), { accuracy: 5 / 6, macroF1: (6 / 7 + 4 / 5) / 2 })
  assert.equal(scoreAll([[0, 0], [0, 0]]), { accuracy: 0, macroF1: 0 })
  assert.is(majorityShare([2, 5, 1]), 5 / 8)
  assert.ok(Number.isNaN(majorityShare([0, 0])))
})

test('many labels keep to 110 columns', () => {
  const names = Array.from({ length: 40 }, (_, index) => `a label of some length ${index}`)
  const confusion = names.map((_, truth) => names.map((__, answer) => (truth * answer) % 7))
  const text = formatScores({ rows: 1, accuracy: 0, loss: 1, macroF1: 0, confusion }, names)
  assert.match(text, /the commonest mistakes/)
  for (const line of text.split('\n')) assert.ok(line.length <= 110, line)
})

test.run()
