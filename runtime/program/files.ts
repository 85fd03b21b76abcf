/**
 * Files as a program uses them: whole texts, and saves that leave either the old file or the new one, whatever happens.
 * All that fails is refused by the path and what the host says.
 */
import { KerfError, refuse } from '../error.ts'
import type { ByteSource, Files } from '../host/files.ts'
import { parentOf } from './path.ts'

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

function refuseUnread(error: unknown, path: string): never {
  if (error instanceof KerfError) throw error
  const code = codeOf(error)
  if (code === 'ENOENT' || code === 'ENOTDIR') refuse('file-missing', path, 'a file', 'none')
  if (code === 'EISDIR') refuse('file-kind', path, 'a file', 'a directory')
  if (code === 'EACCES') refuse('file-access', path, 'a file that may be read', 'no permission')
  if (code !== undefined) refuse('file-read', path, 'a file that can be read', code)
  throw error
}

function refuseUnwritten(error: unknown, path: string): never {
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
  const bytes = await readBytes(files, path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refuse('file-utf8', path, 'UTF-8 text', 'other bytes')
  }
}

/** A file read part by part; whoever opens it closes it. */
export async function openSource(files: Files, path: string): Promise<ByteSource> {
  const source = await files.open(path).catch((error: unknown) => refuseUnread(error, path))
  return { ...source, read: (begin, end) => source.read(begin, end).catch((error: unknown) => refuseUnread(error, path)) }
}

/** A directory and those above it; each new entry lasts. */
async function ensureDirectory(files: Files, path: string): Promise<void> {
  if ((await files.kind(path)) === 'directory') return
  const parent = parentOf(path)
  if (parent !== path) await ensureDirectory(files, parent)
  try {
    await files.makeDirectory(path)
  } catch (error) {
    // Another program may have made it in the meantime.
    if ((await files.kind(path)) !== 'directory') throw error
  }
  await files.syncDirectory(parent)
}

const aside = (path: string) => `${path}.new`
const encode = (content: Uint8Array | string) => (typeof content === 'string' ? new TextEncoder().encode(content) : content)

async function writeAside(files: Files, path: string, content: Uint8Array | string): Promise<void> {
  await ensureDirectory(files, parentOf(path))
  await files.write(aside(path), encode(content))
  await files.sync(aside(path))
}

async function replace(files: Files, path: string): Promise<void> {
  await files.rename(aside(path), path)
  await files.syncDirectory(parentOf(path))
}

/**
 * Replaces files, each whole or not at all. All are written aside and synced before the first takes its place, so that a
 * full disk leaves every earlier one as it was; then each rename is made to last. `whole` is told once all are written,
 * before the first is in its place. Refuses `file-write`.
 */
export async function saveTogether(
  files: Files, contents: Readonly<Record<string, Uint8Array | string>>, whole: () => void | Promise<void> = () => {},
): Promise<void> {
  const paths = Object.keys(contents)
  const each = async (work: (path: string) => Promise<void>) => {
    for (const path of paths) {
      try {
        await work(path)
      } catch (error) {
        // What could not be written cannot always be removed either, such as a path below a file.
        for (const other of paths) await files.remove(aside(other)).catch(() => {})
        refuseUnwritten(error, path)
      }
    }
  }
  await each((path) => writeAside(files, path, contents[path]))
  try {
    await whole()
  } catch (error) {
    refuseUnwritten(error, paths[0])
  }
  await each((path) => replace(files, path))
}

export function saveFile(files: Files, path: string, content: Uint8Array | string, whole?: () => void | Promise<void>): Promise<void> {
  return saveTogether(files, { [path]: content }, whole)
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
