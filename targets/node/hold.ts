/**
 * A name that one process holds until it ends, however it ends: it listens on a socket there. Of a process that was killed the
 * socket stays, and nobody answers; a holder that computes or stands still is answered for by the operating system.
 */
import { rmSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'

/** Others may come just then. */
const ATTEMPTS = 3

/** Null where this process listens now, else why not. */
function listenAt(path: string): Promise<string | null> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((done) => {
    server.once('error', ({ code }: NodeJS.ErrnoException) => done(code ?? 'unknown'))
    server.listen(path, () => {
      server.unref()
      process.once('exit', () => rmSync(path, { force: true }))
      done(null)
    })
  })
}

/** Whether somebody lives behind a socket: nobody does only where the system says so. */
function isHeld(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', ({ code }: NodeJS.ErrnoException) => done(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  })
}

/** Takes a dead process's socket away: aside first, for another may have put a living one there in the meantime. */
async function clear(path: string): Promise<void> {
  const aside = `${path}.${process.pid}`
  await rename(path, aside).catch(() => {})
  if (await isHeld(aside)) await rename(aside, path)
  else await rm(aside, { force: true })
}

export async function holdName(path: string): Promise<boolean> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const why = await listenAt(path)
    // A place where no socket can be holds nobody off.
    if (why !== 'EADDRINUSE') return true
    if (await isHeld(path)) return false
    await clear(path)
  }
  return false
}
