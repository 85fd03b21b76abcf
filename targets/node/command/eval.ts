/** `kerf eval`: how well a trained model labels a file. */
import { EVALUATION_BATCH, openEvaluator } from '../../../runtime/model/evaluate.ts'
import type { Evaluation } from '../../../runtime/model/evaluate.ts'
import { majorityShare, scoreLabels } from '../../../runtime/model/scores.ts'
import { formatScores } from '../../../runtime/report/scores.ts'
import { createChecksum } from '../../../runtime/kernel/checksum.ts'
import type { TokenizedDataset } from '../../../runtime/data/dataset.ts'
import { longestOf } from '../../../runtime/data/sampler.ts'
import { encodeSafetensors } from '../../../runtime/wire/safetensors.ts'
import { readMaxLength } from '../setting.ts'
import type { Command } from '../flags.ts'
import { LENGTH_FLAGS } from '../flags.ts'
import { clock, saveAtomic } from '../host.ts'
import type { OpenedKernel } from '../kernel.ts'
import { openNodeKernel } from '../kernel.ts'
import { bundledData, openTokenizer, readTokens } from '../model.ts'
import { createProgress } from '../progress.ts'
import type { Trained } from '../trained.ts'
import { TRAINED_FLAGS, openTrained } from '../trained.ts'

async function measure({ kernel, stage }: OpenedKernel, { model, labels, adapter }: Trained, data: TokenizedDataset): Promise<Evaluation> {
  const progress = createProgress(process.stderr, { now: clock.now })
  const batches = Math.ceil(data.sequences.length / EVALUATION_BATCH)
  let done = 0
  const turn = async () => {
    progress.update(++done, batches, `batches of ${EVALUATION_BATCH} texts`)
    await clock.turn()
  }
  try {
    const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter?.config ?? null, labels.length, longestOf(data), { ...stage, turn })
    return await evaluator.run(data, adapter?.vector)
  } finally {
    progress.end()
  }
}

/** `logits` [rows, labels] f32 in file order; the label names stand in the metadata. */
function writeLogits(path: string, { logits, rows }: Evaluation, labels: readonly string[]): void {
  const data = new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)
  saveAtomic(path, encodeSafetensors([{ name: 'logits', dtype: 'F32', shape: [rows, labels.length], data }], { labels: JSON.stringify(labels) }))
}

function describe({ rows, accuracy, loss, macroF1, confusion }: Evaluation, { model, labels, adapter }: Trained, data: string): string {
  const perLabel = scoreLabels(confusion, labels)
  const report = {
    model: model.name, adapter: adapter?.directory ?? null, data, rows, labels,
    accuracy, loss, macroF1, majorityAccuracy: majorityShare(perLabel.map((score) => score.rows)), perLabel, confusion,
  }
  return `${JSON.stringify(report, null, 1)}\n`
}

export const evaluateCommand: Command = {
  summary: 'measure a trained model on a labelled file',
  flags: {
    ...TRAINED_FLAGS,
    data: { type: 'string', value: 'FILE', help: 'labelled texts; without it the bundled test sentences' },
    ...LENGTH_FLAGS,
    logits: { type: 'string', value: 'FILE', help: 'write a safetensors file with logits [rows, labels] in file order' },
    json: { type: 'boolean', default: false, help: 'print the scores as JSON' },
  },
  async run(flags) {
    const opened = await openNodeKernel(flags)
    for (const note of opened.notes) process.stderr.write(`${note}\n`)
    const file = flags.optional('data') ?? bundledData().validation
    const trained = await openTrained(flags, createChecksum(opened.kernel), { dataFile: file })
    const data = readTokens(file, openTokenizer(trained.model), trained.labels, readMaxLength(flags, trained.model), flags.on('truncate'))
    const evaluation = await measure(opened, trained, data)
    if (flags.has('logits')) writeLogits(flags.text('logits'), evaluation, trained.labels)
    process.stdout.write(flags.on('json') ? describe(evaluation, trained, file) : formatScores(evaluation, trained.labels))
  },
}
