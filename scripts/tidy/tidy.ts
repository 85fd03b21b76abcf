/**
 * Checks the project's own rules: who imports whom, what runtime/ may name, names, form.
 *
 *   node --import tsx scripts/tidy/tidy.ts
 *
 * Looks at the files that git holds or would add, else at all outside generated folders. Prints each violation
 * as `file:line: rule: expected …, got …`; exit code 1 if there is one.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkTree } from './rules.ts'
import { describeViolation } from './violation.ts'

const GENERATED = new Set(['.git', 'node_modules', 'dist', 'build', 'out'])
const BINARY = /\.(bin|safetensors|wasm|png)$/

process.chdir(fileURLToPath(new URL('../..', import.meta.url)))

function listFiles(): string[] {
  try {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
    const listed = execFileSync('git', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    const files = listed.toString().split('\0')
    if (files.includes('package.json')) return [...new Set(files)].filter((file) => file !== '' && existsSync(file))
  } catch {
    // No git, or no checkout.
  }
  return walk('.')
}

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (GENERATED.has(path)) return []
    return entry.isDirectory() ? walk(path) : [path]
  })
}

const tree = new Map(listFiles().map((file) => [file, BINARY.test(file) ? '' : readFileSync(file, 'utf8')]))
const violations = checkTree(tree)
for (const violation of violations) console.log(describeViolation(violation))
if (violations.length === 0) console.log(`${tree.size} files keep the rules`)
process.exitCode = violations.length === 0 ? 0 : 1
