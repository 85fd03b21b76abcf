/**
 * Half a model behind one asynchronous port. A device's half runs from the embeddings to a cut, a server's from a cut to the
 * loss, a whole model does both: one type over another range of blocks. Whether it computes in this thread, in another or
 * only says how long it would have taken, device and server can't tell.
 *
 *   forward → finish   one step of one adapter set; a step's finish belongs to the last forward
 *
 * N rows, S sequences, C width.
 */
import type { WeightFormat } from '../kernel/format.ts'
import type { Profile } from '../kernel/load.ts'
import type { SetState } from '../model/optimizer.ts'

/** Blocks from `begin` on, with set `set`. offsets [S + 1]; ids [N] where the half begins at the embeddings, else activation [N, C]. */
export type ForwardInput = { set: number; begin: number; offsets: Int32Array; ids?: Int32Array; activation?: Float32Array }

/** When the half was at work, by its party's clock. */
export type WorkSpan = { beginMs: number; endMs: number }

/**
 * activation [N, C] at the cut, or null where the half ends in the loss. Borrowed: a view of the half's memory, which holds
 * until its next call.
 */
export type ForwardOutput = WorkSpan & { activation: Float32Array | null }

/** labels [S] where the half ends in the loss, else the gradient [N, C] of its activation. `rate`: a factor on the learning rate, 1 unless given. */
export type FinishInput = ({ labels: Int32Array } | { gradient: Float32Array }) & { rate?: number }

/**
 * What became of a step:
 *   updated    the set has learnt from it
 *   overflow   loss or gradients are not finite; the set is as it was
 *   void       nothing was computed: no forward pass succeeded, or the set has been written since
 * A value rather than an error, so that it comes through a thread's port as it is.
 */
export type StepEnd = 'updated' | 'overflow' | 'void'

/**
 * loss: mean over the batch in nats, NaN unless `updated`; null where the half ends at a cut.
 * gradient [N, C] of the half's input; null unless `updated`, and where the half begins at the embeddings. Borrowed, as the activation.
 */
export type FinishOutput = WorkSpan & { end: StepEnd; loss: number | null; gradient: Float32Array | null }

/** `modelBytes` and `setBytes` (adapters, heads and moments of all sets) are parts of `bytes`. */
export type HalfMemory = { bytes: number; modelBytes: number; setBytes: number }

/**
 * How the half holds frozen weights and what it computes by: with model, sets and input, all that decides its bits. `bits` and
 * `differs`: its kernel's self-test, where there was one.
 */
export type Numerics = { dtype: WeightFormat; profile: Profile; bits?: string; differs?: string }

export type Half = {
  /** Of the half as it was opened, which may be another than was asked for. */
  readonly numerics: Numerics
  /** Throws a KerfError, before anything is computed, for a batch over the half's limits. */
  forward(input: ForwardInput): Promise<ForwardOutput>
  /** Backward, and the optimiser's update where all is finite. */
  finish(input: FinishInput): Promise<FinishOutput>
  /** A copy of a set with its optimiser. */
  read(set: number): Promise<SetState>
  /** Replaces a set with its optimiser. A step of that set which has not finished is void. */
  write(set: number, state: SetState): Promise<void>
  memory(): Promise<HalfMemory>
  /** Ends its threads; it computes nothing afterwards. */
  close(): void
}
