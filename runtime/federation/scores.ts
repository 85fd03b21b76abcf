/** What a confusion matrix says of each label and of all, as numbers and as a table. */
import { formatColumns, shortenName } from './columns.ts'
import { formatNumber, formatPercent } from './quantity.ts'

export type Scores = {
  rows: number
  accuracy: number
  /** Mean cross-entropy in nats. */
  loss: number
  macroF1: number
  /** confusion[truth][answer], counts. */
  confusion: number[][]
}

/** confusion[truth][answer], counts. */
type Confusion = readonly (readonly number[])[]

/** precision = right / answered, recall = right / rows, f1 their harmonic mean; each 0 where nothing stands below the line. */
export type LabelScore = { label: string; precision: number; recall: number; f1: number; rows: number; answered: number }

function scoreIndices(confusion: Confusion): Omit<LabelScore, 'label'>[] {
  const ratio = (part: number, whole: number) => (whole > 0 ? part / whole : 0)
  return confusion.map((counts, index) => {
    const right = counts[index]
    const rows = counts.reduce((sum, count) => sum + count, 0)
    const answered = confusion.reduce((sum, other) => sum + other[index], 0)
    return { precision: ratio(right, answered), recall: ratio(right, rows), f1: ratio(2 * right, rows + answered), rows, answered }
  })
}

export function scoreLabels(confusion: Confusion, labels: readonly string[]): LabelScore[] {
  return scoreIndices(confusion).map((score, index) => ({ label: labels[index], ...score }))
}

/** Both 0 without rows. */
export function scoreAll(confusion: Confusion): Pick<Scores, 'accuracy' | 'macroF1'> {
  const scores = scoreIndices(confusion)
  const right = confusion.reduce((sum, counts, index) => sum + counts[index], 0)
  const total = scores.reduce((sum, { rows }) => sum + rows, 0)
  // A label that neither stands in the data nor was answered says nothing.
  const seen = scores.filter(({ rows, answered }) => rows + answered > 0)
  return { accuracy: total > 0 ? right / total : 0, macroF1: seen.reduce((sum, { f1 }) => sum + f1, 0) / Math.max(1, seen.length) }
}

/** The share of the commonest label by the rows of each: what always giving one answer scores. NaN without rows. */
export function majorityShare(rows: readonly number[]): number {
  return Math.max(...rows) / rows.reduce((sum, count) => sum + count, 0)
}

const COLUMNS_MAX = 110
const NAME_MAX = 24
const CELL_MAX = 10
const PAIRS_MAX = 10

/** Labels' scores, the totals and the confusion, in at most 110 columns; lines end in a newline. */
export function formatScores({ accuracy, loss, macroF1, confusion, rows }: Scores, labels: readonly string[]): string {
  const scores = scoreLabels(confusion, labels)
  const table = formatColumns([
    ['label', 'precision', 'recall', 'F1', 'rows', 'answered'],
    ...scores.map(({ label, precision, recall, f1, rows: count, answered }) =>
      [shortenName(label, NAME_MAX), formatRatio(precision), formatRatio(recall), formatRatio(f1), String(count), String(answered)]),
  ])
  return [
    ...table, '',
    `accuracy ${formatPercent(accuracy)}  loss ${formatNumber(loss)}  macro F1 ${formatRatio(macroF1)}  rows ${rows}`,
    `Always answering the commonest label scores ${formatPercent(majorityShare(scores.map((score) => score.rows)))}.`, '',
    ...formatConfusion(confusion, labels), '',
  ].join('\n')
}

function formatRatio(value: number): string {
  return value.toFixed(3)
}

function formatConfusion(confusion: Confusion, labels: readonly string[]): string[] {
  const heading = ['truth \\ answer', ...labels.map((label) => shortenName(label, CELL_MAX))]
  const table = formatColumns([heading, ...confusion.map((counts, truth) => [shortenName(labels[truth], NAME_MAX), ...counts.map(String)])])
  return Math.max(...table.map((line) => line.length)) <= COLUMNS_MAX ? table : formatPairs(confusion, labels)
}

/** The commonest mistakes, where the whole matrix is too wide. */
function formatPairs(confusion: Confusion, labels: readonly string[]): string[] {
  const pairs = confusion.flatMap((counts, truth) => counts.map((count, answer) => ({ truth, answer, count })))
  const wrong = pairs.filter(({ truth, answer, count }) => truth !== answer && count > 0).sort((a, b) => b.count - a.count)
  return [
    `Confusion of ${labels.length} labels: the commonest mistakes; --json has all.`,
    ...formatColumns([['truth', 'answer', 'rows'], ...wrong.slice(0, PAIRS_MAX).map(({ truth, answer, count }) =>
      [shortenName(labels[truth], NAME_MAX), shortenName(labels[answer], NAME_MAX), String(count)])], 2),
  ]
}
