/**
 * One encoder block of BERT (post-norm), forward and backward in one call each:
 *   sum1 = x + attention(x),  hidden = norm1(sum1)
 *   sum2 = hidden + down(gelu(up(hidden))),  out = norm2(sum2)
 * N rows of S ragged sequences, the longest of T rows.
 *
 * Every thread of a team runs these functions. A thread owns rows, which don't depend on one another, so that it meets
 * the others only about attention (which it shares by heads) and about the parameters' gradients (by outputs).
 *
 * Scratch: A and B [N, C], the feed-forward part's [rows at a time, F] and dt [N, R], which threads share; then each
 * thread's own room for products and attention.
 */
import { attentionBackwardShare, attentionScratchBytes, attentionShare } from './attention'
import { add } from './elementwise'
import { gelu, geluBackward } from './gelu'
import { hasGradients, linear, linearBackwardParameters, linearBackwardRows } from './linear'
import { productScratchBytes } from './matmul'
import { layerNorm, layerNormBackwardParameters, layerNormBackwardRows } from './norm'
import { Block, Linear, Norm, Saved } from './records'
import { JOB_BACKWARD, JOB_FORWARD, JOB_STOP, barrier, findJob, giveJob, jobArgument, jobKind, shareBegin, threadCount, threadIndex } from './team'

const ALIGNMENT: i32 = 64

/** A thread's own scratch. */
function ownBytes(C: i32, H: i32, F: i32, R: i32, T: i32): i32 {
  const bytes = max(attentionScratchBytes(T, C / H), productScratchBytes(max(max(C, F), R)))
  return (max(bytes, 4 * C) + ALIGNMENT - 1) & -ALIGNMENT
}

/** Rows of the feed-forward part that one of `threads` takes at a time. */
@inline function ffnShare(N: i32, ffnRows: i32, threads: i32): i32 {
  return (min(N, ffnRows) + threads - 1) / threads
}

/** Scratch of blockForward and of blockBackward, for a team of `threads`. */
export function blockScratchBytes(N: i32, C: i32, H: i32, F: i32, R: i32, T: i32, ffnRows: i32, threads: i32): i32 {
  return 4 * (2 * N * C + threads * ffnShare(N, ffnRows, threads) * F + N * R) + threads * ownBytes(C, H, F, R, T)
}

// Where the parts of scratch are, for the calling thread.
@inline function ffnAt(scratch: usize, N: i32, C: i32): usize {
  return scratch + (usize(2 * N * C) << 2)
}

@inline function dtAt(scratch: usize, N: i32, C: i32, F: i32, ffnRows: i32): usize {
  const threads = threadCount()
  return ffnAt(scratch, N, C) + (usize(threads * ffnShare(N, ffnRows, threads) * F) << 2)
}

@inline function ownAt(dt: usize, N: i32, C: i32, H: i32, F: i32, R: i32, T: i32): usize {
  return dt + (usize(N * R) << 2) + usize(threadIndex()) * usize(ownBytes(C, H, F, R, T))
}

/** The most rank that a layer of the block has: the width of dt. */
function rankOf(block: Block): i32 {
  return max(max(max(block.query.rank, block.key.rank), max(block.value.rank, block.attention.rank)), max(block.up.rank, block.down.rank))
}

@inline function rowsAt(x: usize, row: i32, width: i32): usize {
  return x ? x + (usize(row * width) << 2) : 0
}

/** A layer's y of rows [begin, end). */
function linearRows(y: usize, t: usize, x: usize, layer: Linear, begin: i32, end: i32, scratch: usize): void {
  linear(rowsAt(y, begin, layer.outputs), rowsAt(t, begin, layer.rank), rowsAt(x, begin, layer.inputs), layer, end - begin, scratch)
}

function normRows(out: usize, stats: usize, x: usize, norm: Norm, begin: i32, end: i32): void {
  const C = norm.width
  layerNorm(rowsAt(out, begin, C), rowsAt(stats, begin, 2), rowsAt(x, begin, C), norm.gain, norm.bias, end - begin, C, norm.eps)
}

/** out [N, C]; may be saved.x only when no backward follows. */
export function blockForward(out: usize, saved: Saved, block: Block, offsets: usize, N: i32, S: i32, T: i32, scratch: usize): void {
  giveJob(JOB_FORWARD, out, changetype<usize>(saved), changetype<usize>(block), offsets, N, S, T, scratch)
  const C = block.norm1.width, F = block.up.outputs, H = block.heads, x = saved.x
  const part = threadIndex(), parts = threadCount()
  const begin = shareBegin(N, part, parts), end = shareBegin(N, part + 1, parts)
  const context = saved.context ? saved.context : scratch
  const hidden = saved.hidden ? saved.hidden : rowsAt(scratch, N, C)
  const own = ownAt(dtAt(scratch, N, C, F, block.ffnRows), N, C, H, F, rankOf(block), T)
  const size = (end - begin) * C

  linearRows(saved.query, saved.loraQuery, x, block.query, begin, end, own)
  linearRows(saved.key, saved.loraKey, x, block.key, begin, end, own)
  linearRows(saved.value, saved.loraValue, x, block.value, begin, end, own)
  barrier()
  attentionShare(context, saved.query, saved.key, saved.value, offsets, S, H, C / H, T, part, parts, own)
  barrier()
  linearRows(saved.sum1, saved.loraAttention, context, block.attention, begin, end, own)
  add(rowsAt(saved.sum1, begin, C), rowsAt(x, begin, C), size)
  normRows(hidden, saved.stats1, saved.sum1, block.norm1, begin, end)

  const step = ffnShare(N, block.ffnRows, parts)
  const room = ffnAt(scratch, N, C) + (usize(part * step * F) << 2)
  for (let row = begin; row < end; row += step) {
    const rows = min(step, end - row)
    const up = saved.up ? rowsAt(saved.up, row, F) : room
    linear(up, rowsAt(saved.loraUp, row, block.up.rank), rowsAt(hidden, row, C), block.up, rows, own)
    gelu(room, up, rows * F)
    linear(rowsAt(saved.sum2, row, C), rowsAt(saved.loraDown, row, block.down.rank), room, block.down, rows, own)
  }
  add(rowsAt(saved.sum2, begin, C), rowsAt(hidden, begin, C), size)
  normRows(out, saved.stats2, saved.sum2, block.norm2, begin, end)
  barrier()
}

/** dx of a norm over the calling thread's rows, and its share of dGain and dBias, for which dOut must be whole. */
function normBackward(dx: usize, dOut: usize, stats: usize, x: usize, norm: Norm, N: i32, begin: i32, end: i32, scratch: usize): void {
  const C = norm.width, part = threadIndex(), parts = threadCount()
  if (norm.dGain | norm.dBias) {
    barrier()
    layerNormBackwardParameters(norm.dGain, norm.dBias, dOut, stats, x, N, C, shareBegin(C, part, parts), shareBegin(C, part + 1, parts))
  }
  layerNormBackwardRows(rowsAt(dx, begin, C), rowsAt(dOut, begin, C), rowsAt(stats, begin, 2), rowsAt(x, begin, C), norm.gain, end - begin, C, scratch)
}

/** A layer's dx over the calling thread's rows, and its share of the parameters' gradients. */
function layerBackward(
  dx: usize, dt: usize, dy: usize, x: usize, t: usize, layer: Linear, N: i32, begin: i32, end: i32, accumulate: i32, scratch: usize
): void {
  const R = layer.rank
  linearBackwardRows(rowsAt(dx, begin, layer.inputs), rowsAt(dt, begin, R), rowsAt(dy, begin, layer.outputs), layer, end - begin, accumulate, scratch)
  if (!hasGradients(layer)) return
  barrier()
  linearBackwardParameters(dy, dt, x, t, layer, N, threadIndex(), threadCount(), scratch)
  // dt and dy serve the next layer.
  barrier()
}

/**
 * dx [N, C] from dOut [N, C]; dx 0: nothing below is trained; dx may be dOut. Parameters' gradients are added to.
 * What forward saved is used up: gradients take its place.
 */
export function blockBackward(
  dx: usize, dOut: usize, saved: Saved, block: Block, offsets: usize, N: i32, S: i32, T: i32, scratch: usize
): void {
  giveJob(JOB_BACKWARD, dx, dOut, changetype<usize>(saved), changetype<usize>(block), N, S, T, scratch, offsets)
  const C = block.norm1.width, F = block.up.outputs, H = block.heads
  const part = threadIndex(), parts = threadCount()
  const begin = shareBegin(N, part, parts), end = shareBegin(N, part + 1, parts)
  const dA = scratch, dB = rowsAt(scratch, N, C)
  const dt = dtAt(scratch, N, C, F, block.ffnRows)
  const own = ownAt(dt, N, C, H, F, rankOf(block), T)

  // out = norm2(sum2), sum2 = hidden + down(gelu(up(hidden)))
  normBackward(dA, dOut, saved.stats2, saved.sum2, block.norm2, N, begin, end, own)
  if (hasGradients(block.up) || hasGradients(block.down)) {
    const dUp = ffnAt(scratch, N, C)
    const first = usize(begin * F) << 2, count = (end - begin) * F
    linearBackwardRows(dUp + first, rowsAt(dt, begin, block.down.rank), rowsAt(dA, begin, C), block.down, end - begin, 0, own)
    geluBackward(dUp + first, dUp + first, saved.up + first, count)
    gelu(saved.up + first, saved.up + first, count)
    barrier()
    linearBackwardParameters(dA, dt, saved.up, saved.loraDown, block.down, N, part, parts, own)
    barrier()
    layerBackward(dA, dt, dUp, saved.hidden, saved.loraUp, block.up, N, begin, end, 1, own)
  } else {
    const step = ffnShare(N, block.ffnRows, parts)
    const dUp = ffnAt(scratch, N, C) + (usize(part * step * F) << 2)
    for (let row = begin; row < end; row += step) {
      const rows = min(step, end - row), dRows = rowsAt(dA, row, C)
      linearBackwardRows(dUp, rowsAt(dt, row, block.down.rank), dRows, block.down, rows, 0, own)
      geluBackward(dUp, dUp, rowsAt(saved.up, row, F), rows * F)
      linearBackwardRows(dRows, rowsAt(dt, row, block.up.rank), dUp, block.up, rows, 1, own)
    }
  }

  // hidden = norm1(sum1), sum1 = x + attention(x)
  normBackward(dB, dA, saved.stats1, saved.sum1, block.norm1, N, begin, end, own)
  if (block.norm1.dGain | block.norm1.dBias) barrier()
  layerBackward(dA, dt, dB, saved.context, saved.loraAttention, block.attention, N, begin, end, 0, own)
  barrier()
  attentionBackwardShare(saved.query, saved.key, saved.value, dA, saved.query, saved.key, saved.value, offsets, S, H, C / H, T, part, parts, own)
  barrier()
  if (dx) memory.copy(rowsAt(dx, begin, C), rowsAt(dB, begin, C), usize((end - begin) * C) << 2)
  layerBackward(dx, dt, saved.query, saved.x, saved.loraQuery, block.query, N, begin, end, 1, own)
  layerBackward(dx, dt, saved.key, saved.x, saved.loraKey, block.key, N, begin, end, 1, own)
  layerBackward(dx, dt, saved.value, saved.x, saved.loraValue, block.value, N, begin, end, 1, own)
  barrier()
}

/**
 * What a thread other than the first does, again and again: the job after job number `seen`, if it comes soon. Returns
 * its number; `seen` where none has come, so that the host may sleep until the word at team + 8 changes; −1 at the end.
 */
export function work(seen: i32): i32 {
  if (!findJob(seen)) return seen
  const kind = jobKind()
  if (kind == JOB_STOP) return -1
  if (kind == JOB_FORWARD) {
    blockForward(jobArgument(0), changetype<Saved>(jobArgument(1)), changetype<Block>(jobArgument(2)), jobArgument(3),
      <i32>jobArgument(4), <i32>jobArgument(5), <i32>jobArgument(6), jobArgument(7))
  } else {
    blockBackward(jobArgument(0), jobArgument(1), changetype<Saved>(jobArgument(2)), changetype<Block>(jobArgument(3)), jobArgument(8),
      <i32>jobArgument(4), <i32>jobArgument(5), <i32>jobArgument(6), jobArgument(7))
  }
  return seen + 1
}
