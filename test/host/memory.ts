/** A host with nothing below it but memory: files, workers, links, and a clock that stands still. It counts what is left open. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Link, ListenOptions, Network } from '../../runtime/host/network.ts'
import type { ProgramHost } from '../../runtime/program/host.ts'
import { createService } from '../../runtime/program/worker.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import type { TestClock } from '../split/clock.ts'
import { createTestClock } from '../split/clock.ts'
import type { Disk } from './disk.ts'

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url))
const ASSETS = ['kerf.scalar.wasm', 'kerf.simd.wasm', 'kerf.relaxed.wasm', 'assets', 'bundled']

/** Puts the files that ship with the program, or those of a directory, on a disk. */
export function copyToDisk(disk: Disk, directory: string, to: string): void {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    disk.place(`${to}/${path.slice(directory.length).replace(/^\//, '')}`, new Uint8Array(readFileSync(path)))
  }
}

export function placeAssets(disk: Disk): void {
  for (const name of ASSETS) {
    if (name.includes('.')) disk.place(disk.asset(name), new Uint8Array(readFileSync(join(DIST, name))))
    else copyToDisk(disk, join(DIST, name), disk.asset(name))
  }
}

/** One network for several hosts. */
export type MemoryNetwork = Network & { listeners: Set<ListenOptions>; links: Set<Link> }

export function createMemoryNetwork(): MemoryNetwork {
  const listeners = new Set<ListenOptions>(), links = new Set<Link>()
  return {
    listeners, links,
    async listen(options) {
      listeners.add(options)
      const failed = new Promise<never>(() => {})
      return { address: `ws://${options.host}:${options.port}`, elsewhere: [], failed, close: () => { listeners.delete(options) } }
    },
    async dial(url) {
      const options = [...listeners].find(({ host, port }) => url.replace(/\/$/, '') === `ws://${host}:${port}`)
      if (!options) return { miss: 'unreachable', said: '' }
      const [near, far] = createLinkPair()
      links.add(near)
      options.attend(far)
      return { ...near, close: (reason) => { links.delete(near); near.close(reason) } }
    },
  }
}

export type MemoryHost = ProgramHost & {
  clock: TestClock
  files: Disk
  network: MemoryNetwork
  printed(): string
  shown(): string
  /** What is still open: files, workers, listeners, links, timers. */
  leaks(): string[]
}

/** No two hosts draw alike. */
let drawn = 0

/** `input`: the parts in which stdin comes. */
export function createMemoryHost(files: Disk, network = createMemoryNetwork(), input: readonly Uint8Array[] = []): MemoryHost {
  const clock = createTestClock()
  const workers = new Set<object>()
  let printed = '', shown = ''
  const host: MemoryHost = {
    clock, files, network,
    terminal: {
      print: (text) => { printed += text },
      screen: { write: (text) => { shown += text }, columns: () => 80, redraws: false },
      async *input() { yield* input },
      isTyped: false,
    },
    interrupts: { describe: () => {} },
    workers: {
      available: 1,
      open() {
        const [near, far] = createLinkPair()
        const worker = {
          service: createService(host, far), link: near,
          close() {
            workers.delete(worker)
            near.close()
          },
        }
        workers.add(worker)
        return worker
      },
      startThread: () => Promise.reject(new Error('no threads')),
      transfer: (value) => value,
    },
    entropy: { fill: (bytes) => { bytes.forEach((_, index) => { bytes[index] = drawn++ }) } },
    engine: { name: 'memory', version: '1', platform: 'none none', processor: 'none', processors: 1, memoryBytes: 2 ** 32 },
    printed: () => printed,
    shown: () => shown,
    leaks: () => [
      ...[...files.opened].map(({ name }) => `file ${name}`), ...[...workers].map(() => 'worker'), ...[...network.listeners].map(() => 'listener'),
      ...[...network.links].map(() => 'link'), ...Array.from({ length: clock.pending }, () => 'timer'),
    ],
  }
  return host
}
