/** A device that does not get through: what may pass is tried again, what will not is said at once, and always with its cause. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Link, NoLink } from '../../runtime/host/network.ts'
import { KerfError } from '../../runtime/error.ts'
import { keepConnected } from '../../runtime/program/reconnect.ts'
import { createLinkPair } from '../../runtime/split/link.ts'
import { createTestClock } from '../split/clock.ts'

const URL = 'ws://edge.example:7700'
const RETRY_MS = 5000

type Ending = { code: string; message: string; dials: number; ms: number }

/** Tries with these answers, the last one for ever; links are taken in by the server and then break. */
async function tryWith(answers: readonly (NoLink | 'link' | 'end')[]): Promise<Ending> {
  const clock = createTestClock()
  let dials = 0, last: NoLink | 'link' | 'end' = 'link', over = false
  const run = keepConnected({
    clock, entropy: { fill: (bytes) => { bytes.fill(0) } }, retryMs: RETRY_MS, url: URL, lost: () => {},
    async dial(): Promise<Link | NoLink> {
      last = answers[Math.min(dials++, answers.length - 1)]
      return typeof last === 'string' ? createLinkPair()[0] : last
    },
    attend: async () => ({ ended: last === 'end', welcomed: true }),
  }).then(() => new KerfError('ended', '', ''), (error: unknown) => error).finally(() => { over = true })
  while (!over) {
    clock.advance(100)
    await clock.turn()
  }
  const { code, message } = await run as KerfError
  return { code, message, dials, ms: clock.now() }
}

const miss = (kind: NoLink['miss'], said: string, status?: number): NoLink => ({ miss: kind, said, status })

test('what will not pass is said at once, with its cause', async () => {
  const cases: [NoLink, RegExp][] = [
    [miss('certificate', 'self-signed certificate (DEPTH_ZERO_SELF_SIGNED_CERT)'), /certificate is not trusted: self-signed/],
    [miss('status', 'HTTP 404 Not Found', 404), /HTTP 404/], [miss('status', 'HTTP 401 Unauthorized', 401), /HTTP 401/],
    [miss('status', 'HTTP 403 Forbidden', 403), /HTTP 403/], [miss('status', 'HTTP 301 Moved Permanently', 301), /HTTP 301/],
    [miss('status', 'HTTP 200 OK', 200), /HTTP 200/], [miss('protocol', 'Expected HTTP/'), /Expected HTTP/],
  ]
  for (const [answer, cause] of cases) {
    const { code, message, dials } = await tryWith([answer])
    assert.equal([code, dials], ['join-refused', 1])
    assert.ok(message.startsWith(`address: expected a server at ${URL}, got "`), message)
    assert.match(message, cause)
  }
  const twice = await tryWith([miss('name-unknown', 'ENOTFOUND edge.example')])
  assert.equal([twice.code, twice.dials], ['join-refused', 2])
  assert.match(twice.message, /no such name: ENOTFOUND/)
})

test('what may pass is tried again, and the last cause is said', async () => {
  const cases: [NoLink, RegExp][] = [
    [miss('unreachable', ''), /^address: expected a server within 5 s, got "ws:\/\/edge\.example:7700"$/],
    [miss('unreachable', 'EHOSTUNREACH'), /out of reach: EHOSTUNREACH/], [miss('silent', 'timed out'), /no answer: timed out/],
    [miss('name-unresolved', 'EAI_AGAIN'), /cannot be looked up now: EAI_AGAIN/],
    [miss('status', 'HTTP 503 Service Unavailable', 503), /HTTP 503/],
    [miss('status', 'HTTP 1 Switching Protocols', 1), /HTTP 1 /], [miss('status', 'HTTP 429 Too Many Requests', 429), /HTTP 429/],
  ]
  for (const [answer, cause] of cases) {
    const { code, message, dials, ms } = await tryWith([answer])
    assert.is(code, 'join-lost')
    assert.ok(dials > 3 && ms >= RETRY_MS && ms < 2 * RETRY_MS, `${dials} ${ms}`)
    assert.match(message, cause)
  }
  assert.match((await tryWith([miss('unreachable', ''), miss('status', 'HTTP 502 Bad Gateway', 502)])).message, /HTTP 502/)
  const unknown = miss('name-unknown', 'ENOTFOUND')
  assert.is((await tryWith([unknown, miss('unreachable', ''), unknown, 'end'])).code, 'ended')
})

test('a server that has been there may come back from whatever stands in its place', async () => {
  for (const answer of [miss('status', 'HTTP 404 Not Found', 404), miss('name-unknown', 'ENOTFOUND'), miss('protocol', 'x')]) {
    const { code, dials } = await tryWith(['link', answer, answer, answer, 'end'])
    assert.equal([code, dials], ['ended', 5])
  }
  assert.match((await tryWith(['link', miss('status', 'HTTP 404 Not Found', 404)])).message, /within 5 s at .*HTTP 404/)
})

test.run()
