/**
 * One encoder block of BERT (post-norm), forward and backward in one call each:
 *   sum1 = x + attention(x),  hidden = norm1(sum1)
 *   sum2 = hidden + down(gelu(up(hidden))),  out = norm2(sum2)
 * N rows of S ragged sequences, the longest of T rows.
 *
 * Every thread of a team runs these functions. The frozen matrices' products they make together, attention head by
 * head, and the parameters' gradients they share by outputs; all else each does for rows of its own. A product of the team begins
 * and ends with a barrier; what else one thread reads of another's has a barrier in between.
 *
 * Scratch: A and B [N, C], the feed-forward part's [rows at a time, F], dt [N, R] and the products' panels, which threads
 * share; then each thread's own room for products and attention.
 */
import { attentionBackwardTeam, attentionScratchBytes, attentionTeam } from './attention'
import { add, rowsAt } from './elementwise'
import { gelu, geluBackward } from './gelu'
import { hasGradients, linearBackwardParameters, linearBackwardRows, linearTeam } from './linear'
import { productScratchBytes, productSharedBytes } from './matmul'
import { layerNorm, layerNormBackwardParameters, layerNormBackwardRows } from './norm'
import { Block, Linear, Norm, Saved } from './records'
import {
  JOB_BACKWARD, JOB_FORWARD, JOB_STOP, barrier, findJob, giveJob, jobArgument, jobKind, shareBegin, threadCount, threadIndex,
} from './team'

const ALIGNMENT: i32 = 64

/** A thread's own scratch. */
function ownBytes(C: i32, H: i32, F: i32, R: i32, T: i32): i32 {
  const bytes = max(attentionScratchBytes(T, C / H), productScratchBytes(max(max(C, F), R)))
  return (max(bytes, 4 * C) + ALIGNMENT - 1) & -ALIGNMENT
}

/** A team's panels; alone, a thread has its own. */
function sharedBytes(C: i32, F: i32, threads: i32): i32 {
  return threads > 1 ? productSharedBytes(max(C, F)) : 0
}

/** Scratch of blockForward and of blockBackward, for a team of `threads`. */
export function blockScratchBytes(N: i32, C: i32, H: i32, F: i32, R: i32, T: i32, ffnRows: i32, threads: i32): i32 {
  return 4 * (2 * N * C + min(N, ffnRows) * F + N * R) + sharedBytes(C, F, threads) + threads * ownBytes(C, H, F, R, T)
}

// Where the parts of scratch are, for the calling thread.
@inline function ffnAt(scratch: usize, N: i32, C: i32): usize {
  return scratch + (usize(2 * N * C) << 2)
}

@inline function dtAt(scratch: usize, N: i32, C: i32, F: i32, ffnRows: i32): usize {
  return ffnAt(scratch, N, C) + (usize(min(N, ffnRows) * F) << 2)
}

@inline function panelsAt(dt: usize, N: i32, R: i32): usize {
  return dt + (usize(N * R) << 2)
}

@inline function ownAt(panels: usize, C: i32, H: i32, F: i32, R: i32, T: i32): usize {
  return panels + usize(sharedBytes(C, F, threadCount())) + usize(threadIndex()) * usize(ownBytes(C, H, F, R, T))
}

/** The most rank that a layer of the block has: the width of dt. */
function rankOf(block: Block): i32 {
  return max(max(max(block.query.rank, block.key.rank), max(block.value.rank, block.attention.rank)), max(block.up.rank, block.down.rank))
}

/** Of the frozen matrices' products in one direction. */
function productFlops(block: Block, N: i32): f64 {
  const C = f64(block.norm1.width), F = f64(block.up.outputs)
  return 2 * f64(N) * (4 * C * C + 2 * C * F)
}

function normRows(out: usize, stats: usize, x: usize, norm: Norm, begin: i32, end: i32): void {
  const C = norm.width
  layerNorm(rowsAt(out, begin, C), rowsAt(stats, begin, 2), rowsAt(x, begin, C), norm.gain, norm.bias, end - begin, C, norm.eps)
}

/** out [N, C]; may be saved.x only when no backward follows. */
export function blockForward(out: usize, saved: Saved, block: Block, offsets: usize, N: i32, S: i32, T: i32, scratch: usize): void {
  giveJob(JOB_FORWARD, productFlops(block, N), out, changetype<usize>(saved), changetype<usize>(block), offsets, N, S, T, scratch)
  const C = block.norm1.width, F = block.up.outputs, H = block.heads, x = saved.x
  const part = threadIndex(), parts = threadCount()
  const begin = shareBegin(N, part, parts), end = shareBegin(N, part + 1, parts)
  const context = saved.context ? saved.context : scratch
  const hidden = saved.hidden ? saved.hidden : rowsAt(scratch, N, C)
  const R = rankOf(block)
  const panels = panelsAt(dtAt(scratch, N, C, F, block.ffnRows), N, R)
  const own = ownAt(panels, C, H, F, R, T), shared = parts > 1 ? panels : 0
  const size = (end - begin) * C

  linearTeam(saved.query, saved.loraQuery, x, block.query, N, begin, end, shared, own)
  linearTeam(saved.key, saved.loraKey, x, block.key, N, begin, end, shared, own)
  linearTeam(saved.value, saved.loraValue, x, block.value, N, begin, end, shared, own)
  barrier()
  attentionTeam(context, saved.query, saved.key, saved.value, offsets, S, H, C / H, T, parts > 1, own)
  linearTeam(saved.sum1, saved.loraAttention, context, block.attention, N, begin, end, shared, own)
  add(rowsAt(saved.sum1, begin, C), rowsAt(x, begin, C), size)
  normRows(hidden, saved.stats1, saved.sum1, block.norm1, begin, end)

  const room = ffnAt(scratch, N, C)
  for (let row = 0; row < N; row += block.ffnRows) {
    const rows = min(block.ffnRows, N - row)
    const first = shareBegin(rows, part, parts), last = shareBegin(rows, part + 1, parts)
    const up = saved.up ? rowsAt(saved.up, row, F) : room
    linearTeam(up, rowsAt(saved.loraUp, row, block.up.rank), rowsAt(hidden, row, C), block.up, rows, first, last, shared, own)
    gelu(rowsAt(room, first, F), rowsAt(up, first, F), (last - first) * F, own)
    linearTeam(rowsAt(saved.sum2, row, C), rowsAt(saved.loraDown, row, block.down.rank), room, block.down, rows, first, last, shared, own)
  }
  barrier()
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
  layerNormBackwardRows(
    rowsAt(dx, begin, C), rowsAt(dOut, begin, C), rowsAt(stats, begin, 2), rowsAt(x, begin, C), norm.gain, end - begin, C, scratch
  )
}

/** A layer's dx by the team, and the calling thread's share of the parameters' gradients. */
function layerBackward(
  dx: usize, dt: usize, dy: usize, x: usize, t: usize, layer: Linear, N: i32, accumulate: i32,
  begin: i32, end: i32, shared: usize, scratch: usize
): void {
  linearBackwardRows(dx, dt, dy, layer, N, accumulate, begin, end, shared, scratch)
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
  giveJob(JOB_BACKWARD, productFlops(block, N), dx, dOut, changetype<usize>(saved), changetype<usize>(block), N, S, T, scratch, offsets)
  const C = block.norm1.width, F = block.up.outputs, H = block.heads
  const part = threadIndex(), parts = threadCount()
  const begin = shareBegin(N, part, parts), end = shareBegin(N, part + 1, parts)
  const dA = scratch, dB = rowsAt(scratch, N, C)
  const dt = dtAt(scratch, N, C, F, block.ffnRows)
  const R = rankOf(block)
  const panels = panelsAt(dt, N, R)
  const own = ownAt(panels, C, H, F, R, T), shared = parts > 1 ? panels : 0

  // out = norm2(sum2), sum2 = hidden + down(gelu(up(hidden)))
  normBackward(dA, dOut, saved.stats2, saved.sum2, block.norm2, N, begin, end, own)
  const dUp = ffnAt(scratch, N, C)
  if (hasGradients(block.up) || hasGradients(block.down)) {
    const dUpOwn = rowsAt(dUp, begin, F), upOwn = rowsAt(saved.up, begin, F), count = (end - begin) * F
    linearBackwardRows(dUp, dt, dA, block.down, N, 0, begin, end, shared, own)
    geluBackward(dUpOwn, dUpOwn, upOwn, count, own)
    gelu(upOwn, upOwn, count, own)
    barrier()
    linearBackwardParameters(dA, dt, saved.up, saved.loraDown, block.down, N, part, parts, own)
    barrier()
    layerBackward(dA, dt, dUp, saved.hidden, saved.loraUp, block.up, N, 1, begin, end, shared, own)
  } else {
    for (let row = 0; row < N; row += block.ffnRows) {
      const rows = min(block.ffnRows, N - row), dRows = rowsAt(dA, row, C)
      const first = shareBegin(rows, part, parts), last = shareBegin(rows, part + 1, parts)
      const dUpOwn = rowsAt(dUp, first, F)
      linearBackwardRows(dUp, rowsAt(dt, row, block.down.rank), dRows, block.down, rows, 0, first, last, shared, own)
      geluBackward(dUpOwn, dUpOwn, rowsAt(saved.up, row + first, F), (last - first) * F, own)
      linearBackwardRows(dRows, rowsAt(dt, row, block.up.rank), dUp, block.up, rows, 1, first, last, shared, own)
    }
  }

  // hidden = norm1(sum1), sum1 = x + attention(x)
  barrier()
  normBackward(dB, dA, saved.stats1, saved.sum1, block.norm1, N, begin, end, own)
  layerBackward(dA, dt, dB, saved.context, saved.loraAttention, block.attention, N, 0, begin, end, shared, own)
  barrier()
  attentionBackwardTeam(
    saved.query, saved.key, saved.value, dA, saved.query, saved.key, saved.value, offsets, S, H, C / H, T, parts > 1, own
  )
  barrier()
  if (dx) memory.copy(rowsAt(dx, begin, C), rowsAt(dB, begin, C), usize((end - begin) * C) << 2)
  layerBackward(dx, dt, saved.query, saved.x, saved.loraQuery, block.query, N, 1, begin, end, shared, own)
  layerBackward(dx, dt, saved.key, saved.x, saved.loraKey, block.key, N, 1, begin, end, shared, own)
  layerBackward(dx, dt, saved.value, saved.x, saved.loraValue, block.value, N, 1, begin, end, shared, own)
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
