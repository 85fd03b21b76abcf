/** What an error frame tells: of the frame that it answers, never a path, a name or a share of somebody else's. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KerfError } from '../../runtime/error.ts'
import { Channel } from '../../runtime/split/channel.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { decodeFrame } from '../../runtime/wire/frame.ts'
import { openKernelBuild } from '../kernels.ts'

const crc32c = createChecksum(await openKernelBuild('scalar'))

/** The words that reach the other side. */
async function told(code: string, field: string, message: string): Promise<Readonly<Record<string, string>>> {
  const [near, far] = createLinkPair()
  new Channel(near, crc32c).sendError(new KerfError(code, field, message))
  const expectation = {
    types: { error: { tensors: [] } }, run: null, client: null, epoch: null, sequence: 0,
    round: { min: 0, max: 0 }, step: { min: 0, max: 0 },
  }
  return decodeFrame((await far.receive())!, expectation, crc32c).metadata
}

const SECRETS = /\/srv|\/mnt|Jane|board 7|anger/

test('what names others or their files stays on its own side', async () => {
  const cases: [string, string, string][] = [
    ['run-stopped', 'run', 'run: expected to reach its end, got /srv/out/checkpoint/round.safetensors: expected room, got "ENOSPC"'],
    ['run-stopped', 'run', 'run: expected to reach its end, got device 1: /mnt/Jane Doe/train.txt:3.label: expected one of anger, got "x"'],
    ['server', 'server', "server: expected to serve this, got Error: ENOENT: open '/srv/out/metrics.jsonl'"],
    ['file-write', '/srv/out/metrics.jsonl', '/srv/out/metrics.jsonl: expected room and permission to write'],
    ['safetensors-cut', '/srv/base/model.safetensors', '/srv/base/model.safetensors: expected 8 bytes (the file is cut short)'],
    ['some-new-code', 'board 7', 'board 7: expected Jane'],
  ]
  for (const [code, field, message] of cases) {
    const words = await told(code, field, message)
    assert.is(words.code, code)
    assert.not.match(`${words.field} ${words.message}`, SECRETS)
    assert.match(words.message, /^[\w.]+: expected .+, got .+$/)
  }
})

test('what is wrong with a frame is told whole to who sent it', async () => {
  const own = [['frame-step-past', 'frame.step'], ['client-unknown', 'hello.client'], ['share', 'ready.share.rows'], ['deadline', 'device']]
  for (const [code, field] of own) {
    const message = `${field}: expected one thing, got another`
    assert.equal(await told(code, field, message), { code, field, message })
  }
  const ended = 'run: expected to reach its end, got executor 1: expected a thread that lasts as long as the run, got exit code 7'
  assert.is((await told('run-stopped', 'run', ended)).message, ended)
})

test.run()
