/**
 * Writes the kernel room's two files that follow from the ABI, dist/abi.json, which compile.mjs leaves: `runtime/kernel/abi.ts`,
 * types of the exports and tables of the records, and `runtime/kernel/calls.ts`, long calls with their arguments by name.
 * They are committed, so that nobody needs a build to read or type-check them.
 */

/** Types as the kernel names them; an address for a record. */
export type Parameter = { name: string; type: string }
export type Signature = { file: string; parameters: readonly Parameter[]; result: string }
/** Offsets in bytes. */
export type RecordShape = { bytes: number; fields: Readonly<Record<string, { offset: number; type: string }>> }
export type Abi = { version: number; functions: Readonly<Record<string, Signature>>; records: Readonly<Record<string, RecordShape>> }

const LINE_CHARACTERS = 140
/** More are not to be told apart by their place. */
const POSITIONS_MAX = 8
const NUMBERS = ['usize', 'i32', 'u32', 'f32', 'f64']
/** What runtime/kernel/records.ts can write. */
const FIELDS = ['usize', 'i32', 'u32', 'f32']

/** `parts` on as few lines as hold them, behind `indent`. */
function fillLines(parts: readonly string[], indent: string): string {
  const lines: string[] = []
  for (const part of parts) {
    const longer = lines.length > 0 ? `${lines[lines.length - 1]} ${part}` : ''
    if (longer !== '' && longer.length <= LINE_CHARACTERS) lines[lines.length - 1] = longer
    else lines.push(indent + part)
  }
  return lines.join('\n')
}

/** open, parts and close on one line where they fit, else parts on lines of their own. */
function enclose(open: string, parts: readonly string[], close: string, indent: string, space = ''): string {
  const line = `${indent}${open}${space}${parts.join(' ').replace(/[,;]$/, '')}${space}${close}`
  if (line.length <= LINE_CHARACTERS) return line
  return `${indent}${open}\n${fillLines(parts, `${indent}  `).replace(/;$/, '')}\n${indent}${close}`
}

function checkType(type: string, known: readonly string[], where: string): string {
  if (!known.includes(type)) throw new Error(`${where}: expected a type of ${known.join(', ')}, got ${type}`)
  return type
}

function typeOf({ name, type }: Parameter, where: string): string {
  return `${name}: ${checkType(type, NUMBERS, `${where}.${name}`)}`
}

function exportLine([name, { parameters, result }]: [string, Signature]): string {
  const types = parameters.map((parameter) => `${typeOf(parameter, name)},`)
  return enclose(`${name}: (`, types, `) => ${checkType(result, [...NUMBERS, 'void'], name)}`, '  ')
}

/** Exports under the file that each is in. */
function exportLines(functions: Abi['functions']): string[] {
  let file = ''
  return Object.entries(functions).flatMap((entry) => {
    const heading = entry[1].file === file ? [] : [...(file ? [''] : []), `  // ${entry[1].file}`]
    file = entry[1].file
    return [...heading, exportLine(entry)]
  })
}

function recordTable([name, { bytes, fields }]: [string, RecordShape]): string {
  const lines = Object.entries(fields).map(([field, { offset, type }]) =>
    `    ${field}: { offset: ${offset}, type: '${checkType(type, FIELDS, `${name}.${field}`)}' },`)
  return [`export const ${name.toUpperCase()} = {`, `  bytes: ${bytes},`, '  fields: {', ...lines, '  },', '} as const', ''].join('\n')
}

/** The text of `runtime/kernel/abi.ts`. */
export function writeTypes({ version, functions, records }: Abi): string {
  return `/**
 * The kernel's ABI, as the compiler has it: made by scripts/abi.ts in \`npm run build\`, not to be edited.
 * Each operation's file under \`assembly/\` says what its arguments are. 0 is "none" for an address; counts are of elements.
 */

export const ABI_VERSION = ${version}

/** An address, in bytes, into the linear memory. A result of this type or u32 reaches the host signed. */
${NUMBERS.map((type) => `export type ${type} = number`).join('\n')}

export type KernelExports = {
${exportLines(functions).join('\n')}
}

${Object.entries(records).map(recordTable).join('\n')}`
}

/** An operation without its direction. */
function operationOf(name: string): string {
  return name.replace(/(Forward|Backward)$/, '')
}

function callFunction([name, { parameters, result }]: [string, Signature]): string {
  const type = `${name[0].toUpperCase()}${name.slice(1)}Arguments`
  const names = parameters.map((parameter) => `${parameter.name},`)
  return [
    enclose(`type ${type} = {`, parameters.map((parameter) => `${typeOf(parameter, name)};`), '}', '', ' '),
    enclose(`export function ${name}(kernel: KernelExports, {`, names, `}: ${type}): ${result} {`, '', ' '),
    enclose(`${result === 'void' ? '' : 'return '}kernel.${name}(`, names, ')', '  '),
    '}', '',
  ].join('\n')
}

/**
 * The text of `runtime/kernel/calls.ts`: operations of more than eight numbers, forward and backward alike. V8 leaves no
 * object of a record written out in the call (5.3 ns, 5.2 by position), but takes 6 µs for one that is spread.
 */
export function writeCalls({ functions }: Abi): string {
  const all = Object.entries(functions)
  const long = all.filter(([, { parameters }]) => parameters.length > POSITIONS_MAX).map(([name]) => operationOf(name))
  const calls = all.filter(([name]) => long.includes(operationOf(name)))
  const types = NUMBERS.filter((type) => calls.some(([, { parameters }]) => parameters.some((parameter) => parameter.type === type)))
  return `/**
 * Operations of more than ${POSITIONS_MAX} numbers, with these by name; made as abi.ts is, not to be edited.
 */
import type { KernelExports, ${types.sort().join(', ')} } from './abi.ts'

${calls.map(callFunction).join('\n')}`
}

/** Path → text. */
export function writeAbi(abi: Abi): ReadonlyMap<string, string> {
  return new Map([['runtime/kernel/abi.ts', writeTypes(abi)], ['runtime/kernel/calls.ts', writeCalls(abi)]])
}
