/** What a device measures of itself: time computed, time waited, and the spans of one round for the timeline. */

/** What one party does from `beginMs` to `endMs`. `party`: 'server', 'device 3', or 'server 3' where each device has its own model. */
export type Span = {
  party: string
  kind: 'forward' | 'backward' | 'server' | 'upload' | 'download' | 'wait' | 'aggregate'
  beginMs: number
  endMs: number
}

export type DeviceSpan = Omit<Span, 'party'>

export type DeviceStats = {
  computeMs: number
  waitMs: number
  spans: DeviceSpan[]
  compute(kind: 'forward' | 'backward', step: number, beginMs: number, endMs: number): void
  wait(step: number, beginMs: number, endMs: number): void
}

/** The round that timelines show: the third, when caches and compilers are warm, or the last of a shorter run. */
export function timelineRound(steps: number): number {
  return Math.min(2, steps - 1)
}

export function createStats(steps: number): DeviceStats {
  const round = timelineRound(steps)
  const stats: DeviceStats = {
    computeMs: 0, waitMs: 0, spans: [],
    compute(kind, step, beginMs, endMs) {
      stats.computeMs += endMs - beginMs
      if (step === round) stats.spans.push({ kind, beginMs, endMs })
    },
    wait(step, beginMs, endMs) {
      stats.waitMs += endMs - beginMs
      if (step === round) stats.spans.push({ kind: 'wait', beginMs, endMs })
    },
  }
  return stats
}

export function formatStats({ computeMs, waitMs, spans }: DeviceStats): string {
  return JSON.stringify({ computeMs, waitMs, spans })
}

export type StatsReport = Pick<DeviceStats, 'computeMs' | 'waitMs' | 'spans'>

const KINDS: readonly string[] = ['forward', 'backward', 'wait']

/** Stats from a bye; what isn't well formed counts as none, since it decides nothing. */
export function parseStats(text: string | undefined): StatsReport {
  const none: StatsReport = { computeMs: 0, waitMs: 0, spans: [] }
  try {
    const value = JSON.parse(text ?? '') as StatsReport
    const fine = [value.computeMs, value.waitMs].every(Number.isFinite) && Array.isArray(value.spans) &&
      value.spans.every(({ kind, beginMs, endMs }) => KINDS.includes(kind) && Number.isFinite(beginMs) && Number.isFinite(endMs))
    return fine ? value : none
  } catch {
    return none
  }
}
