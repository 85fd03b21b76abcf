/** All that a program needs of a host. */
import type { Clock } from './clock.ts'
import type { Engine } from './engine.ts'
import type { Entropy } from './entropy.ts'
import type { Files } from './files.ts'
import type { Network } from './network.ts'
import type { Interrupts, Terminal } from './terminal.ts'
import type { Workers } from './workers.ts'

export type Host<Service, Thread> = {
  clock: Clock
  files: Files
  terminal: Terminal
  interrupts: Interrupts
  workers: Workers<Service, Thread>
  network: Network
  entropy: Entropy
  engine: Engine
}
