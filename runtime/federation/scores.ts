/** What a confusion matrix says of each label, as numbers and as a table. */
import { formatColumns, shortenName } from './columns.ts'
import type { Evaluation } from './evaluate.ts'
import { formatNumber, formatPercent } from './quantity.ts'

/** precision = right / answered, recall = right / rows, f1 their harmonic mean; each 0 where nothing stands below the line. */
export type LabelScore = { label: string; precision: number; recall: number; f1: number; rows: number; answered: number }

/** confusion[truth][answer], counts. */
export function scoreLabels(confusion: readonly (readonly number[])[], labels: readonly string[]): LabelScore[] {
  const ratio = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  return labels.map((label, index) => {
    const right = confusion[index][index]
    const rows = confusion[index].reduce((sum, count) => sum + count, 0)
    const answered = confusion.reduce((sum, counts) => sum + counts[index], 0)
    return { label, precision: ratio(right, answered), recall: ratio(right, rows), f1: ratio(2 * right, rows + answered), rows, answered }
  })
}

/** The share of the commonest label: what always giving one answer scores. */
export function majorityShare(scores: readonly LabelScore[]): number {
  return Math.max(...scores.map(({ rows }) => rows)) / scores.reduce((sum, { rows }) => sum + rows, 0)
}

const COLUMNS_MAX = 110
const NAME_MAX = 24
const CELL_MAX = 10
const PAIRS_MAX = 10

/** Labels' scores, the totals and the confusion, in at most 110 columns; lines end in a newline. */
export function formatScores({ accuracy, loss, macroF1, confusion, rows }: Omit<Evaluation, 'logits'>, labels: readonly string[]): string {
  const scores = scoreLabels(confusion, labels)
  const table = formatColumns([
    ['label', 'precision', 'recall', 'F1', 'rows', 'answered'],
    ...scores.map(({ label, precision, recall, f1, rows: count, answered }) =>
      [shortenName(label, NAME_MAX), formatRatio(precision), formatRatio(recall), formatRatio(f1), String(count), String(answered)]),
  ])
  return [
    ...table, '',
    `accuracy ${formatPercent(accuracy)}  loss ${formatNumber(loss)}  macro F1 ${formatRatio(macroF1)}  rows ${rows}`,
    `Always answering the commonest label scores ${formatPercent(majorityShare(scores))}.`, '',
    ...formatConfusion(confusion, labels), '',
  ].join('\n')
}

function formatRatio(value: number): string {
  return value.toFixed(3)
}

function formatConfusion(confusion: readonly (readonly number[])[], labels: readonly string[]): string[] {
  const heading = ['truth \\ answer', ...labels.map((label) => shortenName(label, CELL_MAX))]
  const table = formatColumns([heading, ...confusion.map((counts, truth) => [shortenName(labels[truth], NAME_MAX), ...counts.map(String)])])
  return Math.max(...table.map((line) => line.length)) <= COLUMNS_MAX ? table : formatPairs(confusion, labels)
}

/** The commonest mistakes, where the whole matrix is too wide. */
function formatPairs(confusion: readonly (readonly number[])[], labels: readonly string[]): string[] {
  const pairs = confusion.flatMap((counts, truth) => counts.map((count, answer) => ({ truth, answer, count })))
  const wrong = pairs.filter(({ truth, answer, count }) => truth !== answer && count > 0).sort((a, b) => b.count - a.count)
  return [
    `Confusion of ${labels.length} labels: the commonest mistakes; --json has all.`,
    ...formatColumns([['truth', 'answer', 'rows'], ...wrong.slice(0, PAIRS_MAX).map(({ truth, answer, count }) =>
      [shortenName(labels[truth], NAME_MAX), shortenName(labels[answer], NAME_MAX), String(count)])], 2),
  ]
}
