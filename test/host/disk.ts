/**
 * A disk in memory that forgets, when its power is cut, what was not synced: a file's bytes by `sync`, a directory's entries
 * by `syncDirectory`. Paths begin at `/`; a relative one lies below it.
 */
import type { Access, ByteSource, Files } from '../../runtime/host/files.ts'

type File = { kind: 'file'; bytes: Uint8Array; lasting: Uint8Array; access: Access }
type Directory = { kind: 'directory'; access: Access; entries: Map<string, Entry>; lasting: Map<string, Entry> }
type Entry = File | Directory

export type Disk = Files & {
  /** Files that are open now. */
  opened: Set<ByteSource>
  /** Calls that change the disk, so far. */
  changes: number
  /** Told before each change; one that never settles holds up whoever asked for it. */
  beforeChange: (call: string, path: string) => Promise<void>
  /** Puts a file there for good, with the directories above it. */
  place(path: string, bytes: Uint8Array): void
  /** The files below a directory, by path. */
  list(path: string): Map<string, Uint8Array>
  /** Who may read each file and directory below a directory, by path. */
  accesses(path: string): Map<string, Access>
  /** A disk with what lasts. `entries`: directories' entries survive unsynced, as some file systems write them first. */
  cut(survives?: 'synced' | 'entries'): Disk
}

const fail = (code: string): never => { throw Object.assign(new Error(code), { code }) }
const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')
const makeFolder = (access: Access = 'habit'): Directory => ({ kind: 'directory', access, entries: new Map(), lasting: new Map() })

function revive(entry: Entry, survives: 'synced' | 'entries'): Entry {
  if (entry.kind === 'file') return { ...entry, bytes: entry.lasting }
  const kept = survives === 'entries' ? entry.entries : entry.lasting
  const entries = new Map([...kept].map(([name, below]): [string, Entry] => [name, revive(below, survives)]))
  return { ...entry, entries, lasting: new Map(entries) }
}

export function createDisk(root: Directory = makeFolder()): Disk {
  const find = (path: string): Entry | undefined => partsOf(path).reduce(
    (entry: Entry | undefined, part) => (entry?.kind === 'directory' ? entry.entries.get(part) : undefined), root)
  const folder = (path: string): Directory => {
    const entry = find(path)
    return entry === undefined ? fail('ENOENT') : entry.kind === 'directory' ? entry : fail('ENOTDIR')
  }
  const parent = (path: string): [Directory, string] => {
    const parts = partsOf(path)
    return [folder(parts.slice(0, -1).join('/')), parts.at(-1) ?? fail('EISDIR')]
  }
  const file = (path: string): File => {
    const entry = find(path)
    return entry === undefined ? fail('ENOENT') : entry.kind === 'file' ? entry : fail('EISDIR')
  }
  const change = async (call: string, path: string, work: () => void): Promise<void> => {
    disk.changes++
    await disk.beforeChange(call, path)
    work()
  }
  const put = (path: string, bytes: Uint8Array, access: Access) => {
    const [above, name] = parent(path)
    const there = above.entries.get(name)
    if (there?.kind === 'directory') fail('EISDIR')
    if (there?.kind === 'file') Object.assign(there, { bytes, access })
    else above.entries.set(name, { kind: 'file', bytes, lasting: new Uint8Array(0), access })
  }
  const disk: Disk = {
    opened: new Set(), changes: 0, beforeChange: async () => {}, cache: undefined, config: undefined,
    absolute: (path) => `/${partsOf(path).join('/')}`,
    hold: async () => true,
    asset: (name) => `/assets/${name}`,
    kind: async (path) => find(path)?.kind ?? 'none',
    async open(path) {
      const { bytes } = file(path)
      const source: ByteSource = {
        name: path, bytes: bytes.length, read: async (begin, end) => bytes.slice(begin, end),
        close: async () => { if (!disk.opened.delete(source)) throw new Error(`${path}: closed twice`) },
      }
      disk.opened.add(source)
      return source
    },
    read: async (path) => new Uint8Array(file(path).bytes),
    write: (path, bytes, access) => change('write', path, () => put(path, bytes.slice(), access)),
    append: (path, bytes) => change('append', path, () => {
      const before = find(path) === undefined ? new Uint8Array(0) : file(path).bytes
      const both = new Uint8Array(before.length + bytes.length)
      both.set(before)
      both.set(bytes, before.length)
      put(path, both, 'owner')
    }),
    sync: (path) => change('sync', path, () => {
      const entry = file(path)
      entry.lasting = entry.bytes
    }),
    rename: (from, to) => change('rename', to, () => {
      const [above, name] = parent(from)
      const entry = above.entries.get(name) ?? fail('ENOENT')
      const [below, newName] = parent(to)
      below.entries.set(newName, entry)
      above.entries.delete(name)
    }),
    makeDirectory: (path, access) => change('makeDirectory', path, () => {
      const [above, name] = parent(path)
      if (above.entries.has(name)) fail('EEXIST')
      above.entries.set(name, makeFolder(access))
    }),
    syncDirectory: (path) => change('syncDirectory', path, () => {
      const entry = folder(path)
      entry.lasting = new Map(entry.entries)
    }),
    remove: (path) => change('remove', path, () => {
      const [above, name] = parent(path)
      if (above.entries.get(name)?.kind === 'directory') fail('EISDIR')
      above.entries.delete(name)
    }),
    isSame: async (a, b) => partsOf(a).join('/') === partsOf(b).join('/'),
    place(path, bytes) {
      const parts = partsOf(path)
      let at = root
      for (const part of parts.slice(0, -1)) {
        const next = at.entries.get(part) ?? makeFolder()
        at.entries.set(part, next)
        at.lasting.set(part, next)
        at = next.kind === 'directory' ? next : fail('ENOTDIR')
      }
      const entry: File = { kind: 'file', bytes, lasting: bytes, access: 'habit' }
      at.entries.set(parts.at(-1)!, entry)
      at.lasting.set(parts.at(-1)!, entry)
    },
    list(path) {
      const found = new Map<string, Uint8Array>()
      const walk = (entry: Entry | undefined, at: string) => {
        if (entry?.kind === 'file') found.set(at, entry.bytes)
        else for (const [name, below] of [...(entry?.entries ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) walk(below, at === '' ? name : `${at}/${name}`)
      }
      walk(find(path), '')
      return found
    },
    accesses(path) {
      const found = new Map<string, Access>()
      const walk = (entry: Entry | undefined, at: string) => {
        if (entry !== undefined && at !== '') found.set(at, entry.access)
        if (entry?.kind === 'directory') for (const [name, below] of entry.entries) walk(below, at === '' ? name : `${at}/${name}`)
      }
      walk(find(path), '')
      return found
    },
    cut: (survives = 'synced') => createDisk(revive(root, survives) as Directory),
  }
  return disk
}
