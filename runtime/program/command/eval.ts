/** `kerf eval`: how well a trained model labels a file. */
import type { TokenizedDataset } from '../../data/dataset.ts'
import { tokenizeRows } from '../../data/dataset.ts'
import { longestOf } from '../../data/sampler.ts'
import type { Tokenizer } from '../../data/tokens.ts'
import { createChecksum } from '../../kernel/checksum.ts'
import { EVALUATION_BATCH, openEvaluator } from '../../model/evaluate.ts'
import type { Evaluation } from '../../model/evaluate.ts'
import { majorityShare, scoreLabels } from '../../model/scores.ts'
import { formatScores } from '../../report/scores.ts'
import { encodeSafetensors } from '../../wire/safetensors.ts'
import { defineCommand } from '../command.ts'
import { saveFile } from '../files.ts'
import type { ProgramHost } from '../host.ts'
import type { OpenedKernel } from '../kernel.ts'
import { openProgramKernel } from '../kernel.ts'
import { bundledData, limitLength, openTokenizer, readRows } from '../model.ts'
import { createProgress } from '../progress.ts'
import type { Trained } from '../trained.ts'
import { TRAINED_SETTINGS, checkTrained, openTrained } from '../trained.ts'

async function measure(
  { clock, terminal }: ProgramHost, { kernel, stage }: OpenedKernel, trained: Trained, tokenizer: Tokenizer, data: TokenizedDataset,
): Promise<Evaluation> {
  const { model, labels, adapter } = trained
  const progress = createProgress(terminal.screen, clock.now)
  const batches = Math.ceil(data.sequences.length / EVALUATION_BATCH)
  let done = 0
  const turn = async () => {
    progress.update(++done, batches, `batches of ${EVALUATION_BATCH} texts`)
    await clock.turn()
  }
  const evaluator = await openEvaluator(kernel, model.config, model.weights, adapter?.config ?? null, labels.length, longestOf(data), { ...stage, turn })
  try {
    await checkTrained(trained, tokenizer)
    return await evaluator.run(data, adapter?.vector)
  } finally {
    progress.end()
    evaluator.stage.close()
  }
}

/** `logits` [rows, labels] f32 in file order; the label names stand in the metadata. */
function encodeLogits({ logits, rows }: Evaluation, labels: readonly string[]): Uint8Array {
  const data = new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)
  return encodeSafetensors([{ name: 'logits', dtype: 'F32', shape: [rows, labels.length], data }], { labels: JSON.stringify(labels) })
}

function describe({ rows, accuracy, loss, macroF1, confusion }: Evaluation, { model, labels, adapter }: Trained, data: string): string {
  const perLabel = scoreLabels(confusion, labels)
  const report = {
    model: model.name, adapter: adapter?.directory ?? null, data, rows, labels,
    accuracy, loss, macroF1, majorityAccuracy: majorityShare(perLabel.map((score) => score.rows)), perLabel, confusion,
  }
  return `${JSON.stringify(report, null, 1)}\n`
}

export const evaluateCommand = defineCommand({
  summary: 'measure a trained model on a labelled file',
  names: [...TRAINED_SETTINGS, 'data', 'maxLength', 'truncate', 'logits', 'json'],
  async run(settings, { host }) {
    const { files, terminal } = host
    const opened = await openProgramKernel(host, settings)
    const file = settings.data ?? bundledData(files).validation
    const rows = await readRows(files, file)
    const trained = await openTrained(files, { ...settings, data: rows }, createChecksum(opened.kernel))
    const { model, labels } = trained
    try {
      const limits = { maxLength: limitLength(settings.maxLength, model), truncate: settings.truncate }
      const tokenizer = await openTokenizer(files, model)
      const data = tokenizeRows(rows, labels, tokenizer, limits)
      for (const note of [...opened.notes, ...trained.notes]) terminal.screen.write(`${note}\n`)
      const evaluation = await measure(host, opened, trained, tokenizer, data)
      if (settings.logits !== undefined) await saveFile(files, settings.logits, encodeLogits(evaluation, labels))
      terminal.print(settings.json ? describe(evaluation, trained, file) : formatScores(evaluation, labels))
    } finally {
      await model.close()
    }
  },
})
