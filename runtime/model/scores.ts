/** What a confusion matrix says of each label and of all. */

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
export type Confusion = readonly (readonly number[])[]

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
