/** Threads, as a host gives them. */
import type { Link } from './network.ts'

/** A worker with what it can be asked, and a link of its own for frames. */
export type Worker<Service> = { service: Service; link: Link; close(): void }

/** `Service` is what a worker offers, each of its functions asynchronous; `Thread` is what a kernel's thread is told. */
export type Workers<Service, Thread> = {
  /** Starts a worker. `lost` is told when it ends in any other way than by `close`. */
  open(lost: (error: Error) => void): Worker<Service>
  /** Starts a thread that works on shared memory until it is dismissed; resolves when it is ready. */
  startThread(thread: Thread): Promise<void>
  /** Threads that can run at once. */
  available: number
  /** Marks what is passed to a worker or returned from one as given away with these buffers, not copied. */
  transfer<T extends object>(value: T, buffers: readonly ArrayBufferLike[]): T
}
