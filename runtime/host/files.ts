/**
 * Files, as a host gives them: the few operations of a disk, each asynchronous. What must be whole or not at all is made
 * of them in one place (program/files.ts), so that every host saves alike.
 *
 * What fails rejects with an error whose `code` is POSIX's name for it (ENOENT, EISDIR, EACCES, ENOSPC, …).
 */

/** A file read part by part; `read` returns the bytes of [begin, end). */
export type ByteSource = {
  name: string
  bytes: number
  read(begin: number, end: number): Promise<Uint8Array>
  /** Lets go of the file; nothing is read afterwards. */
  close(): Promise<void>
}

export type FileKind = 'file' | 'directory' | 'none'

/** Who may read what a program writes, where a host tells users apart: its owner alone, or whom the host's habit lets. */
export type Access = 'owner' | 'habit'

export type Files = {
  kind(path: string): Promise<FileKind>
  open(path: string): Promise<ByteSource>
  /** All of a file, or what comes out of a pipe. */
  read(path: string): Promise<Uint8Array<ArrayBuffer>>
  /** Puts `bytes` in the place of what the file held, with this access from the first byte on; not yet lasting. */
  write(path: string, bytes: Uint8Array, access: Access): Promise<void>
  /** Adds to the end of a file, or begins one that is the owner's alone; not yet lasting. */
  append(path: string, bytes: Uint8Array): Promise<void>
  /** Makes a file's bytes outlast a power cut. */
  sync(path: string): Promise<void>
  /** Puts `from` in the place of `to`, in one step; not yet lasting. */
  rename(from: string, to: string): Promise<void>
  /** Makes a directory in one that is there; not yet lasting. */
  makeDirectory(path: string, access: Access): Promise<void>
  /** Makes a directory's entries outlast a power cut. */
  syncDirectory(path: string): Promise<void>
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>
  /** Whether two paths lead to one place. */
  isSame(a: string, b: string): Promise<boolean>
  /** Where a file that ships with the program lies. */
  asset(name: string): string
  /** Directory for what may be measured again, if this host has one. */
  cache: string | undefined
  /** Directory for what is this user's and must not be lost, such as keys, if this host has one. */
  config: string | undefined
  /** The path from the root. */
  absolute(path: string): string
  /** Holds a path's name for this process until it ends, however it ends; false where another living process does. True on hosts that can't tell. */
  hold(path: string): Promise<boolean>
}
