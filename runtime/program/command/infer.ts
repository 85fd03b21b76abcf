/** `kerf infer`: the label of a text, or of each line that comes in. */
import type { Dataset } from '../../data/dataset.ts'
import { fitText, tokenizeDataset } from '../../data/dataset.ts'
import { refuse } from '../../error.ts'
import type { Terminal } from '../../host/terminal.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import { openEvaluator } from '../../model/evaluate.ts'
import { formatColumns, shortenName } from '../../text/columns.ts'
import { readLines } from '../../text/lines.ts'
import { defineCommand } from '../command.ts'
import { refuseUnread } from '../files.ts'
import type { ProgramHost } from '../host.ts'
import { openProgramKernel } from '../kernel.ts'
import { limitLength, openTokenizer } from '../model.ts'
import type { Settings } from '../settings.ts'
import { TRAINED_SETTINGS, checkTrained, openTrained } from '../trained.ts'

const NAMES = ['text', ...TRAINED_SETTINGS, 'maxLength', 'truncate', 'json'] as const

type Answer = { label: string; probability: number }
/** `classify` gives all labels, the likeliest first; `name` stands for the text in errors. */
type Classifier = { notes: readonly string[]; classify(text: string, name: string): Answer[]; close(): Promise<void> }

async function openClassifier(host: ProgramHost, settings: Pick<Settings, (typeof NAMES)[number]>): Promise<Classifier> {
  const { files } = host
  const { kernel, stage } = await openProgramKernel(host, settings, { measure: false })
  const trained = await openTrained(files, { ...settings, fallback: true }, createChecksum(kernel))
  const { model, labels, adapter } = trained
  try {
    const tokenizer = await openTokenizer(files, model)
    const maxLength = limitLength(settings.maxLength, model)
    const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter?.config ?? null, labels.length, maxLength, stage)
    try {
      await checkTrained(trained, tokenizer)
    } catch (error) {
      evaluator.stage.close()
      throw error
    }
    return {
      notes: trained.notes,
      classify(text, name) {
        if (text.trim() === '') refuse('infer-text', name, 'a text', 'an empty one')
        const dataset: Dataset = { name, texts: [fitText(text, name, settings.truncate)], labelNames: labels, labels: new Int32Array(1) }
        const { sequences } = tokenizeDataset(dataset, tokenizer, maxLength, settings.truncate)
        const probabilities = evaluator.classify(sequences[0], adapter?.vector)
        return labels.map((label, index) => ({ label, probability: probabilities[index] })).sort((a, b) => b.probability - a.probability)
      },
      async close() {
        evaluator.stage.close()
        await model.close()
      },
    }
  } catch (error) {
    await model.close()
    throw error
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

/** What comes in; a host that cannot read it says so. */
async function* readInput({ input }: Terminal): AsyncGenerator<Uint8Array> {
  try {
    yield* input()
  } catch (error) {
    refuseUnread(error, 'stdin')
  }
}

async function answerLines({ terminal }: ProgramHost, { classify }: Classifier, json: boolean): Promise<void> {
  if (terminal.isTyped) terminal.screen.write('One text a line; an end of file ends it.\n')
  for await (const { at, line } of readLines(readInput(terminal), 'stdin')) {
    const answers = classify(line, at)
    terminal.print(json ? formatJson(line, answers) : formatLine(answers))
  }
}

export const inferCommand = defineCommand({
  summary: 'label a text, or each line of stdin',
  names: NAMES,
  async run(settings, { host }) {
    const classifier = await openClassifier(host, settings)
    const { text, json } = settings
    try {
      // What is refused is told in one line.
      const tell = () => classifier.notes.forEach((note) => host.terminal.screen.write(`${note}\n`))
      if (text === undefined) {
        tell()
        return await answerLines(host, classifier, json)
      }
      const answers = classifier.classify(text, '--text')
      tell()
      host.terminal.print(json ? formatJson(text, answers) : formatTable(answers))
    } finally {
      await classifier.close()
    }
  },
})
