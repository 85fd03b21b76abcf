/**
 * The clock of a greeting: runs while the peer lets us wait, rests while it waits for us, ends when it is admitted. So a
 * thread that computes for minutes is nobody's delay but its own, and bytes that drip in don't stop it.
 */
import type { Clock } from '../host/clock.ts'

export class Greeting {
  over = false
  /** Called once, when the peer's time is up. */
  late: () => void
  readonly ms: number
  private leftMs: number
  private sinceMs: number | null = null
  private cancel = (): void => {}
  private readonly clock: Clock

  constructor(clock: Clock, ms: number, late: () => void) {
    this.clock = clock
    this.ms = this.leftMs = ms
    this.late = late
  }

  /** The peer's turn. */
  run(): void {
    if (this.over || this.sinceMs !== null) return
    this.sinceMs = this.clock.now()
    this.cancel = this.clock.after(this.leftMs, () => {
      this.end()
      this.late()
    })
  }

  /** Ours. */
  rest(): void {
    if (this.sinceMs === null) return
    this.cancel()
    this.leftMs = Math.max(0, this.leftMs - (this.clock.now() - this.sinceMs))
    this.sinceMs = null
  }

  /** The peer has said that it is at work. */
  refill(): void {
    const runs = this.sinceMs !== null
    this.rest()
    this.leftMs = this.ms
    if (runs) this.run()
  }

  end(): void {
    this.rest()
    this.over = true
  }
}
