/** `kerf infer`: the label of a text, or of each line that comes in. */
import { createInterface } from 'node:readline'
import { refuse } from '../../../runtime/error.ts'
import { formatColumns, shortenName } from '../../../runtime/text/columns.ts'
import { openEvaluator } from '../../../runtime/model/evaluate.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import type { Dataset } from '../../../runtime/data/dataset.ts'
import { tokenizeDataset } from '../../../runtime/data/dataset.ts'
import { readMaxLength } from '../setting.ts'
import type { Command, Flags } from '../flags.ts'
import { LENGTH_FLAGS } from '../flags.ts'
import { openNodeKernel } from '../kernel.ts'
import { openTokenizer } from '../model.ts'
import { TRAINED_FLAGS, openTrained } from '../trained.ts'

type Answer = { label: string; probability: number }
/** All labels, the likeliest first; `name` stands for the text in errors. */
type Classify = (text: string, name: string) => Answer[]

async function openClassify(flags: Flags): Promise<Classify> {
  const { kernel, stage } = await openNodeKernel(flags, false)
  const { model, labels, adapter } = await openTrained(flags, createChecksum(kernel), { fallback: true })
  const tokenizer = openTokenizer(model)
  const maxLength = readMaxLength(flags, model)
  const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter?.config ?? null, labels.length, maxLength, stage)
  return (text, name) => {
    if (text.trim() === '') refuse('infer-text', name, 'a text', 'an empty one')
    const dataset: Dataset = { name, texts: [text], labelNames: labels, labels: new Int32Array(1) }
    const { sequences } = tokenizeDataset(dataset, tokenizer, maxLength, flags.on('truncate'))
    const probabilities = evaluator.classify(sequences[0], adapter?.vector)
    return labels.map((label, index) => ({ label, probability: probabilities[index] })).sort((a, b) => b.probability - a.probability)
  }
}

function formatJson(text: string, answers: readonly Answer[]): string {
  const probabilities = Object.fromEntries(answers.map(({ label, probability }) => [label, probability]))
  return `${JSON.stringify({ text, label: answers[0].label, probability: answers[0].probability, probabilities })}\n`
}

const NAME_MAX = 40
/** Labels on the one line of a text that came in by stdin. */
const SHOWN_MAX = 4

function formatTable(answers: readonly Answer[]): string {
  return `${formatColumns(answers.map(({ label, probability }) => [shortenName(label, NAME_MAX), probability.toFixed(4)])).join('\n')}\n`
}

function formatLine(answers: readonly Answer[]): string {
  return `${answers.slice(0, SHOWN_MAX).map(({ label, probability }) => `${shortenName(label, NAME_MAX)} ${probability.toFixed(4)}`).join('  ')}\n`
}

async function answerLines(classify: Classify, json: boolean): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write('One text a line; an end of file ends it.\n')
  let number = 0
  for await (const text of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const answers = classify(text, `stdin:${++number}`)
    process.stdout.write(json ? formatJson(text, answers) : formatLine(answers))
  }
}

export const inferCommand: Command = {
  summary: 'label a text, or each line of stdin',
  flags: {
    text: { type: 'string', value: 'TEXT', help: 'the text; without it each line of stdin is one' },
    ...TRAINED_FLAGS,
    adapter: { type: 'string', value: 'DIR', help: 'PEFT directory; without it what a run in this directory left (out, out/kerf)' },
    ...LENGTH_FLAGS,
    json: { type: 'boolean', default: false, help: 'print one JSON object for each text' },
  },
  async run(flags) {
    const classify = await openClassify(flags)
    if (!flags.has('text')) return answerLines(classify, flags.on('json'))
    const text = flags.text('text')
    const answers = classify(text, '--text')
    process.stdout.write(flags.on('json') ? formatJson(text, answers) : formatTable(answers))
  },
}
