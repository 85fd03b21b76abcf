/** The rooms of runtime/ and of scripts/: who may import whom. */
import { findCycles } from './cycles.ts'
import type { Edge } from './imports.ts'
import { lineAt } from './scan.ts'
import type { Masked } from './scan.ts'
import type { Violation } from './violation.ts'

const GROUND = 'the ground'

/** A room may import from the rows above its own and from itself; rooms of one row know nothing of each other. */
const ROOMS: readonly (readonly string[])[] = [
  [GROUND],
  ['text'],
  ['host'],
  ['kernel'],
  ['cases'],
  ['wire'],
  ['data'],
  ['model'],
  ['split'],
  ['federation', 'network'],
  ['forecast', 'bench', 'report', 'simulation', 'conformance', 'package'],
  ['program'],
]

/** Holds what is shipped beside the code, and no code. */
const STORE = 'bundled'

/** Of scripts/, what its other folders may import. */
const SHARED = 'engines'

/** `export` of anything that outlives the types' erasure. */
const VALUE = /(?<![\w$.])export(?:\s+(?!(?:type|interface)\b)\w+(?:\s+[\w$]+)?|\s*[{*])/g

function roomOf(path: string): string | undefined {
  const [top, room, ...rest] = path.split('/')
  if (top !== 'runtime') return undefined
  return rest.length === 0 ? GROUND : room
}

function rowOf(room: string): number {
  return ROOMS.findIndex((row) => row.includes(room))
}

/** Every folder must have its place in the order, or a new room would escape it. */
function checkFolders(files: readonly string[]): Violation[] {
  const firsts = new Map<string, string>()
  for (const file of [...files].sort()) {
    const room = roomOf(file)
    if (room !== undefined && !firsts.has(room)) firsts.set(room, file)
  }
  return [...firsts].filter(([room]) => room !== STORE && rowOf(room) < 0)
    .map(([room, file]) => ({ file, line: 1, rule: 'room', expected: 'a room that the order of rooms names', got: room }))
}

/** @param edge an import inside runtime/ or inside scripts/ */
function expectedBy({ file, target }: Edge): string | undefined {
  const from = roomOf(file)
  const to = roomOf(target ?? '')
  if (from !== undefined && to !== undefined) {
    const placed = rowOf(from) >= 0 && rowOf(to) >= 0
    return from === to || !placed || rowOf(to) < rowOf(from) ? undefined : `${from} not to import ${to}`
  }
  const [script, other] = [file, target ?? ''].map((path) => /^scripts\/(\w+)\//.exec(path)?.[1])
  return script === undefined || other === undefined || script === other || other === SHARED ? undefined : `scripts/${script} not to import scripts/${other}`
}

function checkHost(file: string, { bare }: Masked): Violation[] {
  return [...bare.matchAll(VALUE)].map((match) => (
    { file, line: lineAt(bare, match.index), rule: 'host', expected: 'types alone, as a port has no code', got: match[0] }))
}

/** @param files every file of the project, whether code or not */
export function checkRooms(files: readonly string[], sources: ReadonlyMap<string, Masked>, edges: readonly Edge[]): Violation[] {
  const upwards = edges.flatMap((edge) => {
    const expected = expectedBy(edge)
    return expected === undefined ? [] : [{ file: edge.file, line: edge.line, rule: 'room', expected, got: edge.specifier }]
  })
  const code = [...sources.keys()].filter((file) => roomOf(file) === STORE)
  const stored = code.map((file) => ({ file, line: 1, rule: 'room', expected: `no code in ${STORE}`, got: file }))
  const hosts = [...sources].flatMap(([file, masked]) => (roomOf(file) === 'host' ? checkHost(file, masked) : []))
  // What goes upwards is told above; a circle of what is left shows a fault in the order itself, or rooms that it lacks.
  const links = edges.filter((edge) => expectedBy(edge) === undefined).flatMap(({ file, line, target }) => {
    const [from, to] = [roomOf(file), roomOf(target ?? '')]
    return from === undefined || to === undefined || from === to ? [] : [{ from, to, file, line }]
  })
  return [...checkFolders(files), ...upwards, ...stored, ...hosts, ...findCycles(links, 'no circle of rooms')]
}
