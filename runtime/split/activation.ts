/** What a device sends for a step, as the server takes it: refused before it is queued, so that a bad one costs nobody else. */
import { refuse } from '../error.ts'
import { decodeTensor } from '../wire/codec.ts'
import type { Frame } from '../wire/frame.ts'
import type { Contract } from './contract.ts'
import type { Brought } from './share.ts'
import { integersFrom, rowsOf } from './tensors.ts'

/** A ragged batch at the cut: offsets [S + 1], activation [N, C], labels [S]. */
export type ActivationBatch = { offsets: Int32Array; activation: Float32Array; labels: Int32Array }

/** What is known of a device's activations before one comes. `largest`: no value of a true one exceeds it (model/bound.ts). */
export type ActivationLimits = { cut: number; share: Pick<Brought, 'longest' | 'labelCounts'>; width: number; largest: number }

/** Refuses `activation-cut`, `activation-offsets`, `activation-labels`, `activation-range` and the codec's codes. */
export function readActivation(
  frame: Pick<Frame, 'tensors' | 'metadata'>, contract: Contract, { cut, share, width, largest }: ActivationLimits,
): ActivationBatch {
  if (frame.metadata.cut !== String(cut)) refuse('activation-cut', 'activation.cut', String(cut), frame.metadata.cut ?? 'none')
  const rows = rowsOf(frame, 'activation')
  const offsets = integersFrom(frame, 'offsets'), labels = integersFrom(frame, 'labels')
  checkOffsets(offsets, rows, share.longest)
  checkLabels(labels, offsets.length - 1, share.labelCounts)
  const activation = decodeTensor(contract.codec, 'activation', frame.tensors, rows, width)
  checkRange(activation, largest)
  return { offsets, labels, activation }
}

/** Nats; logits that a model can still learn from lie far closer together. */
const LOSS_MAX = 1e6

/** The loss that a device with the whole model reports instead: its own word. Refuses `report-loss`. */
export function readLoss({ metadata }: Pick<Frame, 'metadata'>): number {
  const loss = Number(metadata.loss ?? NaN)
  return loss >= 0 && loss <= LOSS_MAX ? loss : refuse('report-loss', 'report.loss', `a number of 0 … ${LOSS_MAX}`, metadata.loss ?? 'none')
}

function checkRange(activation: Float32Array, largest: number): void {
  for (let i = 0; i < activation.length; i++) {
    if (Math.abs(activation[i]) > largest) refuse('activation-range', `activation[${i}]`, `at most ${largest} behind a layer norm`, activation[i])
  }
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

/** `counts` of each label, as the device has told: one that has told of none sends none. */
function checkLabels(labels: Int32Array, sequences: number, counts: readonly number[]): void {
  if (labels.length !== sequences) refuse('activation-labels', 'activation.labels', `${sequences} labels`, labels.length)
  const strange = labels.findIndex((label) => !(counts[label] > 0))
  if (strange < 0) return
  const told = counts.flatMap((count, label) => (count > 0 ? [label] : []))
  refuse('activation-labels', `activation.labels[${strange}]`, `one of ${told.join(', ')}, of which its share has samples`, labels[strange])
}
