/** What a device sends for a step, as the server takes it: refused before it is queued, so that a bad one costs nobody else. */
import { refuse } from '../error.ts'
import { decodeTensor } from '../wire/codec.ts'
import type { Frame } from '../wire/frame.ts'
import type { Contract, Share } from './contract.ts'
import { integersFrom, rowsOf } from './tensors.ts'

/** A ragged batch at the cut: offsets [S + 1], activation [N, C], labels [S]. */
export type ActivationBatch = { offsets: Int32Array; activation: Float32Array; labels: Int32Array }

/** Refuses `activation-cut`, `activation-offsets`, `activation-labels` and the codec's codes. */
export function readActivation(frame: Pick<Frame, 'tensors' | 'metadata'>, contract: Contract, cut: number, share: Share, width: number): ActivationBatch {
  if (frame.metadata.cut !== String(cut)) refuse('activation-cut', 'activation.cut', String(cut), frame.metadata.cut ?? 'none')
  const rows = rowsOf(frame, 'activation')
  const offsets = integersFrom(frame, 'offsets'), labels = integersFrom(frame, 'labels')
  checkOffsets(offsets, rows, share.longest)
  checkLabels(labels, offsets.length - 1, contract.labels.length)
  return { offsets, labels, activation: decodeTensor(contract.codec, 'activation', frame.tensors, rows, width) }
}

/** The loss that a device with the whole model reports instead; refuses `report-loss`. */
export function readLoss({ metadata }: Pick<Frame, 'metadata'>): number {
  const loss = Number(metadata.loss ?? NaN)
  return Number.isFinite(loss) ? loss : refuse('report-loss', 'report.loss', 'a finite number', metadata.loss ?? 'none')
}

function checkOffsets(offsets: Int32Array, rows: number, longest: number): void {
  const last = offsets.length - 1
  if (last < 1) refuse('activation-offsets', 'activation.offsets', 'at least one sequence', `${offsets.length} offsets`)
  if (offsets[0] !== 0 || offsets[last] !== rows) refuse('activation-offsets', 'activation.offsets', `0 … ${rows}`, `${offsets[0]} … ${offsets[last]}`)
  for (let s = 1; s <= last; s++) {
    const length = offsets[s] - offsets[s - 1]
    if (length < 1 || length > longest) refuse('activation-offsets', `activation.offsets[${s}]`, `1 … ${longest} rows`, length)
  }
}

function checkLabels(labels: Int32Array, sequences: number, count: number): void {
  if (labels.length !== sequences) refuse('activation-labels', 'activation.labels', `${sequences} labels`, labels.length)
  const strange = labels.findIndex((label) => label < 0 || label >= count)
  if (strange >= 0) refuse('activation-labels', `activation.labels[${strange}]`, `0 … ${count - 1}`, labels[strange])
}
