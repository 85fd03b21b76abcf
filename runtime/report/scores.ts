/** Scores as a table for people. */
import type { Confusion, Scores } from '../model/scores.ts'
import { majorityShare, scoreLabels } from '../model/scores.ts'
import { formatColumns, shortenName } from '../text/columns.ts'
import { formatNumber, formatPercent } from '../text/quantity.ts'

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
