/** What lies in --out already: results of an earlier run. They are moved into a directory of their own before others take their places. */
import type { Files } from '../host/files.ts'
import { SCHEME_NAMES } from '../split/scheme.ts'
import { isFile, moveFiles, openSource } from './files.ts'
import { joinPath } from './path.ts'
import { ROUNDS_MAX, nameRound } from './rounds.ts'

const CHECKPOINTS = Array.from({ length: ROUNDS_MAX }, (_, place) => joinPath('checkpoint', nameRound(place)))

/** Without one of these a run has left nothing that it could not leave again. */
const RESULTS = ['adapter_model.safetensors', CHECKPOINTS[0], 'report.json']
const RUN_FILES = [...RESULTS, 'adapter_config.json', 'labels.json', 'metrics.jsonl', 'report.html', ...CHECKPOINTS.slice(1)]

/** Several schemes have a directory each. */
const withSchemes = (names: readonly string[]) => ['', ...SCHEME_NAMES].flatMap((scheme) => names.map((name) => joinPath(scheme, name)))

async function listPresent(files: Files, directory: string, names: readonly string[]): Promise<string[]> {
  const present = []
  for (const name of names) if (await isFile(files, joinPath(directory, name))) present.push(name)
  return present
}

async function moveAside(files: Files, out: string, names: readonly string[]): Promise<string> {
  for (let number = 1; ; number++) {
    const aside = joinPath(out, `earlier-${number}`)
    if ((await files.kind(aside)) !== 'none') continue
    await moveFiles(files, names, out, aside)
    return `${out} holds an earlier result: it is kept in ${aside}`
  }
}

/** Moves a run's results in `out` aside; the line that says so, or none where there are none. */
export async function moveRunAside(files: Files, out: string): Promise<string | null> {
  const results = await listPresent(files, out, withSchemes(RESULTS))
  return results.length === 0 ? null : moveAside(files, out, await listPresent(files, out, withSchemes(RUN_FILES)))
}

const PART_BYTES = 1 << 20

async function isSameFile(files: Files, path: string, bytes: Uint8Array): Promise<boolean> {
  const source = await openSource(files, path)
  try {
    let same = source.bytes === bytes.length
    for (let begin = 0; same && begin < bytes.length; begin += PART_BYTES) {
      const part = await source.read(begin, Math.min(begin + PART_BYTES, bytes.length))
      same = part.every((byte, index) => byte === bytes[begin + index])
    }
    return same
  } finally {
    await source.close()
  }
}

/** As moveRunAside, for files that are about to be written into `out`: nothing is in the way of those that hold the same already. */
export async function moveAsideFor(files: Files, out: string, contents: Readonly<Record<string, Uint8Array>>): Promise<string | null> {
  const there = await listPresent(files, out, Object.keys(contents))
  for (const name of there) {
    if (await isSameFile(files, joinPath(out, name), contents[name])) continue
    return moveAside(files, out, [...new Set([...there, ...await listPresent(files, out, RUN_FILES)])])
  }
  return null
}
