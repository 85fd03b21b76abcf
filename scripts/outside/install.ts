/** The `onnx` package's test data, fetched with pip into a folder that git ignores. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuse } from '../../runtime/error.ts'

/** The last that ships the data of single operators: 1.23 leaves them out. */
export const ONNX_VERSION = '1.22.0'
const FOLDER = 'build/outside'
const INSIDE = 'onnx/backend/test/data'
export const DATA = join(FOLDER, INSIDE)
const NOTE = join(FOLDER, 'onnx.txt')

const UNPACK = `
import sys, zipfile
wheel, folder, inside = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(inside + '/')])
`

function runPython(args: readonly string[], what: string): void {
  const { status, stderr, error } = spawnSync('python3', args, { encoding: 'utf8' })
  if (status !== 0) refuse('outside.install', what, 'to succeed', error?.message ?? stderr.trim().split('\n').at(-1))
}

export function installPackage(): void {
  mkdirSync(FOLDER, { recursive: true })
  const wheels = () => readdirSync(FOLDER).filter((file) => file.startsWith(`onnx-${ONNX_VERSION}-`) && file.endsWith('.whl'))
  if (wheels().length === 0) {
    const options = ['--quiet', '--no-deps', '--only-binary', ':all:', '--dest', FOLDER]
    runPython(['-m', 'pip', 'download', ...options, `onnx==${ONNX_VERSION}`], 'pip download')
  }
  const [wheel] = wheels()
  if (wheel === undefined) refuse('outside.install', FOLDER, `a wheel of onnx ${ONNX_VERSION}`, 'none')
  runPython(['-c', UNPACK, join(FOLDER, wheel), FOLDER, INSIDE], `unpacking ${wheel}`)
  const sha256 = createHash('sha256').update(readFileSync(join(FOLDER, wheel))).digest('hex')
  writeFileSync(NOTE, `${wheel}, sha256 ${sha256}\n`)
}

/** What the page says of where the data are from. */
export function findVersion(data: string): string {
  return data === DATA && existsSync(NOTE) ? readFileSync(NOTE, 'utf8').trim() : 'data given by --data'
}
