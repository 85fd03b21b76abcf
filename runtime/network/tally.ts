/** Reasons for which connections were closed, many told in one line: a flood of strangers writes no flood of lines. */

const PAUSE_SECONDS = 10
/** Lines told at once; further reasons are counted together. */
const LINES_MAX = 4
const REASONS_MAX = 64

export class Tally {
  private readonly tell: (line: string) => void
  private readonly reasons = new Map<string, { count: number; place: string }>()
  private seconds = PAUSE_SECONDS

  constructor(tell: (line: string) => void) {
    this.tell = tell
  }

  add(reason: string, place: string): void {
    const known = this.reasons.get(reason)
    const name = known || this.reasons.size < REASONS_MAX ? reason : 'other reasons'
    this.reasons.set(name, { count: (this.reasons.get(name)?.count ?? 0) + 1, place })
  }

  /** Each second. */
  tick(): void {
    this.seconds++
    if (this.seconds < PAUSE_SECONDS || this.reasons.size === 0) return
    this.seconds = 0
    const told = [...this.reasons].sort(([, a], [, b]) => b.count - a.count)
    for (const [reason, { count, place }] of told.slice(0, LINES_MAX)) {
      this.tell(`closed ${count === 1 ? 'a connection' : `${count} connections, the last`} from ${place}: ${reason}`)
    }
    const rest = told.slice(LINES_MAX).reduce((sum, [, { count }]) => sum + count, 0)
    if (rest > 0) this.tell(`closed ${rest} connections for other reasons`)
    this.reasons.clear()
  }
}
