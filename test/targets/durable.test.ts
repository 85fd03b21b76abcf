/** Node's files: what the program syncs reaches the disk's own calls, in their order. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fs from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { makeDirectory } from '../command.ts'
import { skipTest, skipUnlessNode } from '../skip.ts'

const calls: string[] = []
const at = makeDirectory()
const nameOf = (path: string) => path.replace(`${at}/`, '').replace(at, '.')

// Watched before the host binds them.
const { fsync } = fs, { rename, mkdir, appendFile } = promises
const watched = (descriptor: number, done: fs.NoParamCallback) => {
  calls.push(`fsync ${nameOf(fs.readlinkSync(`/proc/self/fd/${descriptor}`))}`)
  fsync(descriptor, done)
}
Object.assign(fs, { fsync: watched })
Object.assign(promises, {
  rename: (from: string, to: string) => { calls.push(`rename ${nameOf(to)}`); return rename(from, to) },
  mkdir: (path: string) => { calls.push(`mkdir ${nameOf(path)}`); return mkdir(path) },
  appendFile: (path: string, bytes: Uint8Array) => { calls.push(`append ${nameOf(path)}`); return appendFile(path, bytes) },
})
syncBuiltinESMExports()
const { createHost } = await import('../../targets/node/host.ts')
const { appendText, readText, saveFile, saveTogether } = await import('../../runtime/program/files.ts')
const { files } = createHost()
const linux = fs.existsSync('/proc/self/fd')

test('a file and its directories are synced, the file before it takes its place', async () => {
  if (skipUnlessNode("modules of the runtime's that a test may change")) return
  if (!linux) return skipTest('no /proc/self/fd')
  calls.length = 0
  await saveFile(files, join(at, 'a/b/c.txt'), 'text')
  assert.equal(calls, ['mkdir a', 'fsync .', 'mkdir a/b', 'fsync a', 'fsync a/b/c.txt.new', 'rename a/b/c.txt', 'fsync a/b'])
  calls.length = 0
  await saveTogether(files, { [join(at, 'a/x')]: 'x', [join(at, 'a/y')]: new Uint8Array(3) })
  assert.equal(calls, ['fsync a/x.new', 'fsync a/y.new', 'rename a/x', 'fsync a', 'rename a/y', 'fsync a'])
  calls.length = 0
  await appendText(files, join(at, 'a/x'), 'more')
  assert.equal(calls, ['append a/x', 'fsync a/x'])
  assert.is(await readText(files, join(at, 'a/x')), 'xmore')
})

test('every descriptor is closed again', async () => {
  if (!linux) return skipTest('no /proc/self/fd')
  // Of files and directories: Deno opens sockets of its own when it likes.
  const count = () => fs.readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('/')
    } catch {
      return false
    }
  }).length
  await saveFile(files, join(at, 'd'), 'text')
  const before = count()
  for (let index = 0; index < 20; index++) {
    await saveFile(files, join(at, 'd'), 'text')
    const source = await files.open(join(at, 'd'))
    assert.equal([...await source.read(1, 3)], [0x65, 0x78])
    await source.close()
    for (const path of [at, join(at, 'none'), join(at, 'd/e')]) await files.open(path).then(() => assert.unreachable(path), () => {})
  }
  assert.is(count(), before)
})

test.run()
