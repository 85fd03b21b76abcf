/** `kerf infer`: labels and probabilities of a text and of lines, and where the adapter comes from. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { softmax } from '../oracle/bert.ts'
import { evaluateDirectory } from '../oracle/directory.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { makeDirectory, readKerf, runKerf } from '../command.ts'
import { makeTinyAdapter, makeTinyModel } from '../tiny.ts'

type Answer = { text: string; label: string; probability: number; probabilities: Record<string, number> }

const LABELS = ['joy', 'anger', 'fear', 'love', 'grief', 'surprise']
const LORA: AdapterConfig = { rank: 2, alpha: 4, targets: ['query', 'value'] }
const TEXT = 'the old bird sings'
const at = makeDirectory()
const [model, adapter] = [join(at, 'model'), join(at, 'adapter')]
const config = makeTinyModel(model)
makeTinyAdapter(adapter, config, LORA, LABELS)
const both = ['infer', '--model', model, '--adapter', adapter]

test('probabilities of one text, the likeliest first', () => {
  const answer = readKerf<Answer>([...both, '--text', TEXT])
  const dataset = { name: '', texts: [TEXT], labelNames: LABELS, labels: new Int32Array(1) }
  const expected = softmax(evaluateDirectory(model, config, { directory: adapter, config: LORA }, dataset).logits, 1, LABELS.length)
  LABELS.forEach((label, index) => assert.ok(Math.abs(answer.probabilities[label] - expected[index]) < 1e-5))
  const order = Object.values(answer.probabilities)
  assert.equal(order, [...order].sort((a, b) => b - a))
  assert.equal([answer.text, answer.label, answer.probability], [TEXT, Object.keys(answer.probabilities)[0], order[0]])
})

test('a table for people, a line for each label', () => {
  const { exitCode, stdout } = runKerf([...both, '--text', TEXT])
  assert.is(exitCode, 0)
  const lines = stdout.trimEnd().split('\n')
  assert.equal(lines.map((line) => line.split(/ +/)[0]).sort(), [...LABELS].sort())
  for (const line of lines) assert.match(line, /^\w+ +[01]\.\d{4}$/)
})

test('stdin: an answer for each line, as for the same texts alone', () => {
  const texts = [TEXT, 'rain falls', 'you hear the river']
  const input = `${texts.join('\r\n')}\n`
  const { stdout } = runKerf([...both, '--json'], { input })
  const answers = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Answer)
  assert.equal(answers, texts.map((text) => readKerf<Answer>([...both, '--text', text])))
  const lines = runKerf(both, { input }).stdout.trimEnd().split('\n')
  assert.equal(lines.map((line) => line.split(' ')[0]), answers.map(({ label }) => label))
  assert.is(runKerf(both).stdout, '')
})

test('takes what a run in this directory left: out, or out/kerf', () => {
  const call = (cwd: string) => readKerf<Answer>(['infer', '--model', model, '--text', TEXT], { cwd }).probabilities
  const expected = readKerf<Answer>([...both, '--text', TEXT]).probabilities
  for (const out of ['out', 'out/kerf']) {
    const cwd = join(at, `run ${out.length}`)
    cpSync(adapter, join(cwd, out), { recursive: true })
    assert.equal(call(cwd), expected)
  }
})

test("a model's own classifier goes before what lies in out", () => {
  const own = join(at, 'own')
  makeTinyModel(own, { labels: ['yes', 'no'] })
  const cwd = join(at, 'run 3')
  assert.equal(Object.keys(readKerf<Answer>(['infer', '--model', own, '--text', TEXT], { cwd }).probabilities).sort(), ['no', 'yes'])
})

test('labels without names are refused, and take those that are told', () => {
  const bare = join(at, 'bare')
  cpSync(adapter, bare, { recursive: true })
  rmSync(join(bare, 'labels.json'))
  const call = ['infer', '--model', model, '--adapter', bare, '--text', TEXT]
  const names = (...more: string[]) => Object.keys(readKerf<Answer>([...call, ...more]).probabilities).sort()
  const { exitCode, stderr } = runKerf(call)
  assert.is(exitCode, 2)
  const expected = /^kerf: --labels: expected 6 names in the order of the rows of the classifier in .*bare.*, which has none, got "none"\n$/
  assert.match(stderr, expected)
  assert.equal(names('--labels', LABELS.join(',')), [...LABELS].sort())
})

test('refuses by name', () => {
  const empty = join(at, 'empty')
  mkdirSync(empty)
  const refused = (args: readonly string[], message: RegExp, options = {}) => {
    const { exitCode, stderr } = runKerf(args, options)
    assert.is(exitCode, 2)
    assert.match(stderr, message)
  }
  refused(['infer', '--model', model, '--text', TEXT], /--adapter: expected a PEFT directory/, { cwd: empty })
  refused([...both, '--text', TEXT, '--labels', 'yes,no'], /--labels: expected joy,.* as in .*labels\.json, got "yes,no"/)
  refused(['infer', '--model', join(at, 'own'), '--text', TEXT, '--labels', 'no,yes'],
    /--labels: expected yes,no as in .*config\.json, got "no,yes"/)
  refused([...both, '--text', ' '], /--text: expected a text, got "an empty one"/)
  refused(both, /stdin:2: expected a text/, { input: `${TEXT}\n\n${TEXT}\n` })
  refused([...both, '--text', 'rain '.repeat(40)], /--text row 1: expected at most 32 tokens, got 42/)
  assert.is(runKerf([...both, '--text', 'rain '.repeat(40), '--truncate']).exitCode, 0)
})

test.run()
