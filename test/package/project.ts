/** The tarball as `npm pack` makes it, in an empty project beside the example programs, and the hosts that run them. */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { scriptArgs } from '../../scripts/runtime.ts'
import { makeDirectory } from '../command.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const EXAMPLES = fileURLToPath(new URL('example', import.meta.url))
const TIMEOUT_MS = 120_000

/** The output of a program that must end well. */
export function runProgram(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: TIMEOUT_MS })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: expected exit 0, got ${error ?? status}\n${stdout}${stderr}`)
  return stdout
}

/** The same, of a program that this process must serve while it runs. */
export function awaitProgram(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: TIMEOUT_MS })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => { output += chunk })
    child.on('error', reject)
    child.on('close', (status) => (status === 0 ? resolve(output) : reject(new Error(`${command}: expected exit 0, got ${status}`))))
  })
}

export type Project = { at: string; packed: readonly string[] }

/** What lies in dist/ is packed as it is: the kernel's binaries are built before tests run, and other tests are reading them. */
export function makeProject(): Project {
  const at = makeDirectory()
  for (const script of ['embedded', 'package']) runProgram(process.execPath, scriptArgs(`scripts/${script}.ts`), ROOT)
  const told = runProgram('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', at], ROOT)
  const [{ filename, files }] = JSON.parse(told) as [{ filename: string; files: { path: string }[] }]
  const project = join(at, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "private": true, "type": "module" }\n')
  runProgram('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join('..', filename)], project)
  for (const name of readdirSync(EXAMPLES)) copyFileSync(join(EXAMPLES, name), join(project, name))
  return { at: project, packed: files.map(({ path }) => path) }
}

/** Where a host lies: as a variable says, beside what npm has installed, or on the PATH. */
export function findHost(name: 'deno' | 'bun'): string | undefined {
  const named = process.env[`KERF_${name.toUpperCase()}`]
  const folders = [join(ROOT, 'node_modules/.bin'), ...(process.env.PATH ?? '').split(delimiter)]
  return named ?? folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}
