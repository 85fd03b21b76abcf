/**
 * The suite for engines that have neither WebAssembly nor promises nor modules, beside the kernel that wasm2js makes: one ES5 script
 * that declares `kerfConform` and is done when `run` returns. It is bundled as the embedded script is (scripts/embedded.bundle.ts).
 */
import { DEVICE_CASE } from '../../runtime/conformance/stages.ts'
import { runStrict } from '../../runtime/conformance/suite.ts'
import type { FrameVectors } from '../../runtime/conformance/frames.ts'
import type { ExpectedDigests } from '../../runtime/cases/tally.ts'
import { loadKernel } from '../../runtime/kernel/load.ts'
import { parseHex } from '../../runtime/text/hex.ts'
import { runJobs } from '../../targets/embedded/engine.ts'
import { formatMessage } from './protocol.ts'

/** What is published beside the table, as JSON has it. */
export type Published = {
  expected: ExpectedDigests
  vectors: { expectation: FrameVectors['expectation']; files: readonly { file: string; code: string | null; hex: string }[] }
}

export type ScriptOptions = {
  published: Published
  /** false leaves out what takes an interpreter minutes: cases of a BERT's size, and models but a device's. */
  whole: boolean
  print(line: string): void
  /** Milliseconds. */
  now(): number
}

async function score({ published: { expected, vectors }, whole, print, now }: ScriptOptions): Promise<void> {
  const start = now()
  const files = vectors.files.map(({ file, code, hex }) => ({ file, code, bytes: parseHex(hex, hex.length / 2)! }))
  const scored = await runStrict({
    // The bundle's own kernel stands in WebAssembly's place, whatever the bytes.
    kernel: await loadKernel(new Uint8Array(0), 'scalar'), threads: 1, expected, vectors: { expectation: vectors.expectation, files },
    large: whole, ...(!whole && { models: [DEVICE_CASE] }), fail: (failure) => print(formatMessage({ kind: 'failure', ...failure })),
  })
  print(formatMessage({ kind: 'score', part: whole ? 'all' : 'all but large, one model', ms: now() - start, ...scored }))
}

/** Prints what it came to; never throws. */
export function run(options: ScriptOptions): void {
  score(options).catch((error: unknown) => {
    const told = error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error)
    options.print(formatMessage({ kind: 'crash', error: told }))
  })
  runJobs()
}
