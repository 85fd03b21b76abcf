/**
 * Files as a program uses them: whole texts, and saves that leave either the old file or the new one, whatever happens.
 * All that fails is refused by the path and what the host says.
 */
import { KerfError, refuse } from '../error.ts'
import type { Access, ByteSource, Files } from '../host/files.ts'
import { decodeUtf8 } from '../text/utf8.ts'
import { joinPath, parentOf } from './path.ts'

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

export function refuseUnread(error: unknown, path: string): never {
  if (error instanceof KerfError) throw error
  const code = codeOf(error)
  if (code === 'ENOENT' || code === 'ENOTDIR') refuse('file-missing', path, 'a file', 'none')
  if (code === 'EISDIR') refuse('file-kind', path, 'a file', 'a directory')
  if (code === 'EACCES' || code === 'EPERM') refuse('file-access', path, 'a file that may be read', 'no permission')
  if (code !== undefined) refuse('file-read', path, 'a file that can be read', code)
  throw error
}

function refuseUnwritten(error: unknown, path: string): never {
  if (error instanceof KerfError) throw error
  return refuse('file-write', path, 'room and permission to write; the file before it is untouched', codeOf(error) ?? String(error))
}

export async function isFile(files: Files, path: string): Promise<boolean> {
  return (await files.kind(path)) === 'file'
}

export async function readBytes(files: Files, path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await files.read(path)
  } catch (error) {
    return refuseUnread(error, path)
  }
}

/** A UTF-8 file; refuses bytes that are none. */
export async function readText(files: Files, path: string): Promise<string> {
  return decodeUtf8(await readBytes(files, path), path)
}

/** A file read part by part; whoever opens it closes it. */
export async function openSource(files: Files, path: string): Promise<ByteSource> {
  const source = await files.open(path).catch((error: unknown) => refuseUnread(error, path))
  return { ...source, read: (begin, end) => source.read(begin, end).catch((error: unknown) => refuseUnread(error, path)) }
}

/** A directory and those above it; each new entry lasts. */
export async function ensureDirectory(files: Files, path: string, access: Access): Promise<void> {
  if ((await files.kind(path)) === 'directory') return
  const parent = parentOf(path)
  if (parent !== path) await ensureDirectory(files, parent, access)
  try {
    await files.makeDirectory(path, access)
  } catch (error) {
    // Another program may have made it in the meantime.
    if ((await files.kind(path)) !== 'directory') throw error
  }
  await files.syncDirectory(parent)
}

const aside = (path: string) => `${path}.new`
const encode = (content: Uint8Array | string) => (typeof content === 'string' ? new TextEncoder().encode(content) : content)

async function writeAside(files: Files, path: string, content: Uint8Array | string, access: Access): Promise<void> {
  await ensureDirectory(files, parentOf(path), access)
  await files.write(aside(path), encode(content), access)
  await files.sync(aside(path))
}

async function replace(files: Files, path: string): Promise<void> {
  await files.rename(aside(path), path)
  await files.syncDirectory(parentOf(path))
}

/** Refuses a directory in which nothing could be saved later, before hours of work are; it is made where it is not there. */
export async function tryWriting(files: Files, directory: string): Promise<void> {
  const trial = joinPath(directory, 'trial')
  try {
    await writeAside(files, trial, '', 'owner')
    await files.remove(aside(trial))
  } catch (error) {
    if (error instanceof KerfError) throw error
    refuse('file-write', directory, 'a directory in which files can be saved', codeOf(error) ?? String(error))
  }
}

export type SaveOptions = {
  /** Told once all are written aside, before the first is in its place. */
  whole?: () => void | Promise<void>
  /** What a run leaves is its owner's, unless said otherwise. */
  access?: Access
}

/**
 * Replaces files, each whole or not at all. All are written aside and synced before the first takes its place, so that a
 * full disk leaves every earlier one as it was; then each rename is made to last. Refuses `file-write`.
 */
export async function saveTogether(
  files: Files, contents: Readonly<Record<string, Uint8Array | string>>, { whole, access = 'owner' }: SaveOptions = {},
): Promise<void> {
  const paths = Object.keys(contents)
  const attempt = async (path: string, work: () => void | Promise<void>) => {
    try {
      await work()
    } catch (error) {
      // What could not be written cannot always be removed either, such as a path below a file.
      for (const other of paths) await files.remove(aside(other)).catch(() => {})
      refuseUnwritten(error, path)
    }
  }
  for (const path of paths) await attempt(path, () => writeAside(files, path, contents[path], access))
  if (whole) await attempt(paths[0], whole)
  for (const path of paths) await attempt(path, () => replace(files, path))
}

export function saveFile(files: Files, path: string, content: Uint8Array | string, options?: SaveOptions): Promise<void> {
  return saveTogether(files, { [path]: content }, options)
}

/** Adds text to the end of a file and makes it last. Refuses `file-write`. */
export async function appendText(files: Files, path: string, text: string): Promise<void> {
  try {
    await files.append(path, encode(text))
    await files.sync(path)
  } catch (error) {
    refuseUnwritten(error, path)
  }
}

/** Moves files from one directory to another that is made for them, each with the directories above it; they outlast a power cut. */
export async function moveFiles(files: Files, names: readonly string[], from: string, to: string): Promise<void> {
  const pairs = names.map((name) => [joinPath(from, name), joinPath(to, name)] as const)
  try {
    for (const [source, target] of pairs) {
      await ensureDirectory(files, parentOf(target), 'owner')
      await files.rename(source, target)
    }
    // A file that is in two places is safe; one that is in none is lost: so where they went comes first.
    const directories = [1, 0].flatMap((side) => pairs.map((pair) => parentOf(pair[side])))
    for (const directory of new Set(directories)) await files.syncDirectory(directory)
  } catch (error) {
    refuseUnwritten(error, from)
  }
}
