/** Which inner tile is fastest on this host: measured once on a product whose operands stay in its caches. */
import { refuse } from '../error.ts'
import type { KernelExports } from './abi.ts'
import type { Tile } from './load.ts'
import { PAGE_BYTES, TILES, createMemory, instantiate } from './load.ts'

/** Rows that every tile divides, and two blocks of depth. */
const N = 60, O = 256, I = 512
/** Milliseconds of work before samples count: compilers replace their first code while it runs. */
const WARM_MS = 40
/** Then all tiles in turn for so long, and the best sample of each: longer than a neighbour's burst of work. */
const SAMPLE_MS = 200
/** A sample takes at least so many ticks of the clock: browsers and workers have some of a millisecond. */
const SAMPLE_TICKS = 20
/** A clock that does not move in so many readings stands still. */
const READINGS_MAX = 1e7

/** A tile and its best rate. */
export type TileRate = { tile: Tile; gflops: number }

/** Element i of an operand: a few bits, so that no rounding hides in the check's own arithmetic. */
function element(i: number): number {
  return ((i * 7919) % 61) / 64 - 0.5
}

/** One output by the order that the strict profile promises. */
function expected(x: Float32Array, w: Float32Array, row: number, column: number): number {
  let sum = 0
  for (let k = 0; k < I; k++) sum = Math.fround(sum + Math.fround(x[row * I + k] * w[column * I + k]))
  return sum
}

type Bench = { tile: Tile; run(): void; check(exact: boolean): void }

async function openBench(module: WebAssembly.Module, tile: Tile, scratchBytes: number): Promise<Bench> {
  const floats = N * O + N * I + O * I
  const memory = createMemory(Math.ceil((64 + 4 * floats + scratchBytes) / PAGE_BYTES), false)
  const kernel: KernelExports = await instantiate(module, memory, tile)
  const out = 64, x = out + 4 * N * O, w = x + 4 * N * I, scratch = w + 4 * O * I
  const all = new Float32Array(memory.buffer, x, N * I + O * I).map((_, i) => element(i))
  new Float32Array(memory.buffer, x, all.length).set(all)
  return {
    tile,
    run: () => kernel.matmul(out, x, w, N, O, I, 0, scratch),
    check(exact) {
      const y = new Float32Array(memory.buffer, out, N * O)
      for (let i = 0; i < y.length; i += 977) {
        const want = expected(all.subarray(0, N * I), all.subarray(N * I), Math.floor(i / O), i % O)
        const right = exact ? y[i] === want : Math.abs(y[i] - want) < 1e-3
        if (!right) refuse('kernel.tile', `kernel.tile ${tile}`, `${want} in output ${i}`, y[i])
      }
    },
  }
}

/** The clock's next reading that is another than `from`. Refuses `bench-clock` for a clock that stands still. */
export function nextTick(clock: () => number, from: number): number {
  for (let reading = 0; reading < READINGS_MAX; reading++) {
    const now = clock()
    if (now !== from) return now
  }
  return refuse('bench-clock', 'clock', 'a time that passes while this host computes', from)
}

/** Milliseconds between two readings that differ. */
function tickOf(clock: () => number): number {
  const begin = nextTick(clock, clock())
  return nextTick(clock, begin) - begin
}

/**
 * Every tile's rate, the fastest first. Refuses `kernel.tile` where a host computes one wrongly; `exact`: to the bit; and `bench-clock`
 * for a clock that stands still.
 */
export async function calibrate(module: WebAssembly.Module, kernel: KernelExports, exact: boolean, clock: () => number): Promise<TileRate[]> {
  const scratchBytes = kernel.productScratchBytes(O)
  const benches = await Promise.all(TILES.slice(0, kernel.tileCount()).map((tile) => openBench(module, tile, scratchBytes)))
  const best = benches.map(() => Infinity)
  const leastMs = SAMPLE_TICKS * tickOf(clock)
  for (const { run, check } of benches) {
    for (const begin = clock(); clock() - begin < WARM_MS;) run()
    check(exact)
  }
  const first = clock()
  do {
    benches.forEach(({ run }, index) => {
      const begin = clock()
      let calls = 0, ms = 0
      do {
        run()
        calls++
        ms = clock() - begin
      } while (ms < leastMs)
      best[index] = Math.min(best[index], ms / calls)
    })
  } while (clock() - first < SAMPLE_MS)
  return benches.map(({ tile }, index) => ({ tile, gflops: (2 * N * O * I) / best[index] / 1e6 })).sort((a, b) => b.gflops - a.gflops)
}
