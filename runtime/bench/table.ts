/** A device profile as tables for people. */
import { formatColumns } from '../text/columns.ts'
import { formatHundredths, formatNumber } from '../text/quantity.ts'
import type { DeviceProfile } from '../model/profile.ts'

const ABSENT = '-'

/** Short times keep three digits. */
const showMs = (ms: number) => (Math.abs(ms) < 0.1 ? ms.toPrecision(3) : formatNumber(ms))
/** Operations without floating-point arithmetic have no rate of it. */
const showRate = (gflops: number) => (gflops > 0 ? formatNumber(gflops) : ABSENT)
const showShare = (gflops: number, peak: number) => (gflops > 0 ? formatHundredths(gflops / peak) : ABSENT)

function formatHead({ kernel, host, peakGflops, tiles, step }: DeviceProfile): string[] {
  const { build, bytes, tile, threads, dtype } = kernel
  const { model, cut, layers, hiddenSize, intermediateSize, heads, batch, length, rank, targets } = step
  return [
    `${host.name} ${host.version}, ${host.machine}`,
    `kernel ${build}, ${bytes} bytes, tile ${tile}; steps on ${threads} thread${threads === 1 ? '' : 's'}, weights in ${dtype}`,
    `GFLOP/s of one thread: in registers ${[
      formatNumber(peakGflops), ...tiles.map((rate) => `tile ${rate.tile} ${formatNumber(rate.gflops)}`),
    ].join(', ')}`,
    `${model}: ${layers} blocks, width ${hiddenSize}, ${heads} heads, hidden ${intermediateSize}; blocks 0-${cut} on the device`,
    `batch ${batch} of ${length} tokens, LoRA rank ${rank} on ${targets.join(', ')}`,
  ]
}

function formatSteps({ steps, peakGflops, kernel: { threads } }: DeviceProfile): string[] {
  const peak = threads * peakGflops
  const tokens = (rows: number, ms: number) => formatNumber((1000 * rows) / ms)
  const rows = steps.map(({ rows, forwardMs, backwardMs, forwardGflops, backwardGflops }) => [
    String(rows), showMs(forwardMs), formatNumber(forwardGflops), showShare(forwardGflops, peak),
    showMs(backwardMs), formatNumber(backwardGflops), showShare(backwardGflops, peak),
    tokens(rows, forwardMs), tokens(rows, forwardMs + backwardMs),
  ])
  const head = ['rows', 'forward ms', 'GFLOP/s', '% of peak', 'backward ms', 'GFLOP/s', '% of peak', 'tokens/s forward', 'training']
  const shared = threads > 1 ? `, peak of ${threads} threads` : ''
  const title = `Steps: forward, and backward with the update; GFLOP/s of matrix products${shared}`
  return [title, ...formatColumns([head, ...rows])]
}

/** What the parts leave of the whole step: less than nothing where alone an operation finds its tensors less near. */
export function otherMs({ whole: { forwardMs, backwardMs }, parts }: Pick<DeviceProfile, 'whole' | 'parts'>): number {
  return forwardMs + backwardMs - parts.reduce((sum, { count, ms }) => sum + count * ms, 0)
}

function formatParts(profile: DeviceProfile): string[] {
  const { whole: { rows, forwardMs, backwardMs }, parts, peakGflops, kernel } = profile
  const whole = forwardMs + backwardMs
  const line = (name: string, ms: number) => [name, '', '', showMs(ms), formatHundredths(ms / whole)]
  const lines = parts.map(({ phase, operation, count, ms, gflops, gbps }) => [
    `${phase} ${operation}`, String(count), showMs(ms), showMs(count * ms), formatHundredths((count * ms) / whole),
    showRate(gflops), showShare(gflops, peakGflops), formatNumber(gbps),
  ])
  const table = [
    ['operation', 'times', 'ms', 'total ms', '% of step', 'GFLOP/s', '% of peak', 'GB/s'],
    ...lines, line('other', otherMs(profile)), line('whole step', whole),
  ]
  const thread = kernel.threads > 1 ? ' on one thread' : ''
  return [`Where the time of one training step of ${rows} rows${thread} goes, each operation run alone`, ...formatColumns(table)]
}

function formatOperations({ operations, peakGflops }: DeviceProfile): string[] {
  const lines = operations.map(({ operation, sizes, ms, gflops, gbps }) => [
    operation, sizes, showMs(ms), showRate(gflops), showShare(gflops, peakGflops), formatNumber(gbps),
  ])
  return ['Operations', ...formatColumns([['operation', 'sizes', 'ms', 'GFLOP/s', '% of peak', 'GB/s'], ...lines], 2)]
}

export function formatBench(profile: DeviceProfile): string {
  const parts = [formatHead(profile), formatSteps(profile), formatParts(profile), formatOperations(profile)]
  return parts.map((lines) => `${lines.join('\n')}\n`).join('\n')
}
