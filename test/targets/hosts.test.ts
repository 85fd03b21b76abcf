/** Hosts that lack something: room, WebAssembly, permission, a way to the server. One line with the cause; files are their owner's. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttp } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { RUNTIME } from '../../scripts/runtime.ts'
import type { Outcome } from '../command.ts'
import { skipTest, skipUnlessNode } from '../skip.ts'
import { CALL, PROGRAM, SHELL_CALL, adapterFile, callKerf, checkpointFile, flagsOf, killAll, makeRoom, startKerf, startProcess } from './cli.ts'

const { at, model, data, val } = makeRoom()
const BASE = { model, data, val, clients: 2, cuts: '1,2', steps: 4, interval: 2, batch: 4 }
const TRAIN = ['train', ...flagsOf({ ...BASE, out: join(at, 'first') })]
await callKerf(TRAIN)
const infer = ['infer', ...flagsOf({ model, adapter: join(at, 'first'), text: 'the rain falls' })]

test.after.each(killAll)

const shell = (before: string, args: readonly string[], call = SHELL_CALL) => (
  startProcess('bash', ['-c', `${before} exec ${call} "$@"`, 'kerf', ...args]).ended)
/** With flags that are Node's own. */
const shellNode = (options: string, args: readonly string[]) => shell('', args, `'${process.execPath}' ${options} '${PROGRAM}'`)

/** The last line says why, in one line, and nothing before it is a stack. */
function expectLine({ exitCode, stderr }: Outcome, message: RegExp, expectedCode = 1): void {
  assert.is(exitCode, expectedCode, stderr)
  const lines = stderr.trimEnd().split('\n')
  assert.match(lines.at(-1)!, message)
  assert.is(lines.filter((line) => line.startsWith('kerf:')).length, 1, stderr)
  assert.not.match(stderr, /^\s+at /m)
}

test('little virtual memory: in this thread, in workers, on a server', async () => {
  if (skipUnlessNode('what an engine reserves of virtual memory')) return
  const serve = ['serve', ...flagsOf({ ...BASE, port: 0, out: join(at, 'little') })]
  for (const args of [infer, ['bench', '--preset', 'tiny', '--quick'], serve]) {
    expectLine(await shell('ulimit -v 8000000;', args), /^kerf: memory: expected room on this host for \d+ bytes, /)
  }
  // Enough for this thread's memories and not for those of two devices.
  const outcome = await shell('ulimit -v 24000000;', ['train', ...flagsOf({ ...BASE, scheme: 'sfl', out: join(at, 'few') })])
  if (outcome.exitCode !== 0) expectLine(outcome, /^kerf: (device \d: )?(executor \d: )?memory: expected room/)
})

test('no WebAssembly: switched off, or an engine without a compiler', async () => {
  if (skipUnlessNode("V8's flags")) return
  for (const option of ['--jitless', '--no-expose-wasm']) {
    for (const args of [infer, TRAIN, ['join', 'ws://127.0.0.1:9', '--model', model]]) {
      expectLine(await shellNode(option, args), /^kerf: host: expected WebAssembly, got "none/)
    }
  }
})

test('workers whose heap is too small, and few files that may be open', async () => {
  if (skipUnlessNode("limits of a worker's heap")) return
  const small = join(at, 'small.cjs')
  writeFileSync(small, `
    const threads = require('node:worker_threads')
    const { Worker } = threads
    threads.Worker = class extends Worker {
      constructor(file, options) { super(file, { ...options, resourceLimits: { maxOldGenerationSizeMb: 3 } }) }
    }
    require('node:module').syncBuiltinESMExports()
  `)
  for (const [scheme, who] of [['kerf', 'device'], ['sfl', '(device|executor)']]) {
    const outcome = await shellNode(`--require '${small}'`, ['train', ...flagsOf({ ...BASE, scheme, out: join(at, `small-${scheme}`) })])
    expectLine(outcome, new RegExp(`^kerf: ${who} \\d: .*memory`))
  }
  expectLine(await shell('ulimit -n 24;', ['train', ...flagsOf({ ...BASE, out: join(at, 'open') })]), /^kerf: .*EMFILE/)
})

test('outputs that take nothing', async () => {
  expectLine(await shell('exec >/dev/full;', infer), /^kerf: (stdout: expected room to write, got ENOSPC$|host: expected what this takes, got "ENOSPC: )/)
  assert.is((await shell('exec 2>/dev/full;', infer)).exitCode, 0)
  for (const before of ['exec >&-;', 'exec 2>&-;', 'exec <&-;']) assert.is((await shell(before, infer)).exitCode, 0, before)
})

test('no permission to read or to write', async () => {
  const mighty = process.getuid?.() === 0
  if (mighty && spawnSync('setpriv', ['--version']).status !== 0) return skipTest('no user without all permissions', { optional: true })
  const nobody = mighty ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  const asUser = (args: readonly string[]) => startProcess('env', [...nobody, ...CALL, ...args]).ended
  const shut = join(at, 'shut'), closed = join(at, 'closed.txt')
  mkdirSync(shut)
  writeFileSync(closed, 'a;joy\n')
  chmodSync(at, 0o755)
  chmodSync(closed, 0o000)
  chmodSync(shut, 0o555)
  if ((await asUser(['--help'])).exitCode !== 0) return skipTest('a checkout that no other user may read', { optional: true })
  const unread = await asUser(['train', ...flagsOf({ ...BASE, data: closed, out: join(at, 'x') })])
  expectLine(unread, /closed\.txt: expected a file that may be read, got "no permission"$/, 2)
  const unwritten = await asUser(['train', ...flagsOf({ ...BASE, out: join(shut, 'out') })])
  expectLine(unwritten, /shut\/out: expected a directory in which files can be saved, got "EACCES"$/)
})

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

test("adapters, metrics, checkpoints and reports are their owner's alone; a merged model and the tiles are not", async () => {
  const out = join(at, 'modes'), old = join(out, 'metrics.jsonl')
  mkdirSync(join(at, 'cache'))
  const umask = `umask 022; export XDG_CACHE_HOME='${join(at, 'cache')}';`
  // A file that is there already, open to all.
  mkdirSync(out)
  writeFileSync(old, '')
  chmodSync(old, 0o644)
  assert.is((await shell(umask, ['train', ...flagsOf({ ...BASE, out, scheme: 'kerf,fl' })])).exitCode, 0)
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (path !== old) assert.is(modeOf(path), entry.isDirectory() ? '700' : '600', path)
  }
  assert.is(modeOf(join(at, 'cache/kerf/tiles.json')), '644')
  const exported = join(at, 'exported'), merged = join(at, 'merged'), logits = join(at, 'logits.safetensors')
  const take = flagsOf({ model, adapter: join(out, 'kerf') })
  assert.is((await shell(umask, ['export', ...take, '--out', exported])).exitCode, 0)
  assert.is((await shell(umask, ['export', ...take, '--merge', '--out', merged])).exitCode, 0)
  assert.is((await shell(umask, ['eval', ...take, '--data', val, '--logits', logits])).exitCode, 0)
  assert.equal([exported, adapterFile(exported), logits].map(modeOf), ['700', '600', '600'])
  assert.equal([merged, join(merged, 'model.safetensors')].map(modeOf), ['755', '644'])
  // One that an earlier Kerf left open to all is taken back.
  chmodSync(checkpointFile(join(out, 'fl')), 0o666)
  writeFileSync(`${checkpointFile(join(out, 'fl'))}.new`, 'x', { mode: 0o666 })
  await callKerf(['train', ...flagsOf({ ...BASE, out: join(out, 'fl'), scheme: 'fl', seed: 3 })])
  assert.is(modeOf(checkpointFile(join(out, 'fl'))), '600')
})

async function listenOn(server: Server): Promise<number> {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return (server.address() as AddressInfo).port
}

const joinAt = (url: string, seconds = 1) => startKerf(['join', url, ...flagsOf({ model, data, 'retry-seconds': seconds })]).ended

test('HTTP answers instead of a server: at once where asking again will not help', async () => {
  let asked = 0, status = 404
  const server = createHttp((_, response) => {
    asked++
    response.writeHead(status, 'Go\x1b away').end()
  })
  server.on('upgrade', (_, socket) => {
    asked++
    socket.end(`HTTP/1.1 ${status} Answer\r\nConnection: close\r\n\r\n`)
  })
  const port = await listenOn(server)
  for (status of [401, 403, 404, 200, 302]) {
    asked = 0
    const told = new RegExp(`^kerf: address: expected a server at ws://.*: HTTP ${status} Answer"$`)
    expectLine(await joinAt(`ws://127.0.0.1:${port}/kerf`, 20), told)
    assert.is(asked, 1)
  }
  status = 503
  asked = 0
  expectLine(await joinAt(`ws://127.0.0.1:${port}`), /expected a server within 1 s at .*HTTP 503/)
  assert.ok(asked > 1)
  server.close()
})

test('certificates that are not trusted, and what speaks something else', async () => {
  const [key, cert] = [join(at, 'key.pem'), join(at, 'cert.pem')]
  const made = spawnSync('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert,
    '-subj', '/CN=kerf', '-days', '2',
  ])
  if (made.status !== 0) return skipTest('no openssl', { optional: true })
  const tls = createHttps({ key: readFileSync(key), cert: readFileSync(cert) })
  const port = await listenOn(tls)
  expectLine(await joinAt(`wss://127.0.0.1:${port}`, 20), /its certificate is not trusted: .*self.signed/)
  const call = ['join', `wss://127.0.0.1:${port}`, ...flagsOf({ model, data })]
  // Deno reads no variable of Node's.
  const elsewhere = RUNTIME === 'deno' ? startKerf([...call, '--tls-ca', cert])
    : startProcess('env', [`NODE_EXTRA_CA_CERTS=${cert}`, ...CALL, ...call])
  expectLine(await elsewhere.ended, /its certificate is not trusted: .*(altnames|127\.0\.0\.1)/)
  expectLine(await joinAt(`ws://127.0.0.1:${port}`, 2), /^kerf: address: expected a server/)
  const speaker = createServer((socket) => { socket.on('error', () => {}).end('SSH-2.0-x\r\n') })
  const other = await listenOn(speaker)
  expectLine(await joinAt(`ws://127.0.0.1:${other}`, 20), /no WebSocket speaks there/)
  // OpenSSL's words.
  const said = RUNTIME === 'node' ? ': wrong version number' : ': .'
  expectLine(await joinAt(`wss://127.0.0.1:${other}`, 20), new RegExp(`no WebSocket speaks there${said}`))
  tls.close()
  speaker.close()
})

test('nobody who answers, and a name that does not exist', async () => {
  const silent = createServer(() => {})
  expectLine(await joinAt(`ws://127.0.0.1:${await listenOn(silent)}`), /expected a server within 1 s at .*"no answer: /)
  silent.close()
  expectLine(await joinAt('ws://no-such-host.invalid:7700'), /(no such name|looked up now): .*no-such-host\.invalid/)
})

async function serveOn(host: string, expected: RegExp): Promise<void> {
  const out = join(at, `serve-${host.replaceAll(/\W/g, '_')}`)
  const server = startKerf(['serve', ...flagsOf({ ...BASE, clients: 1, cuts: 1, host, port: 0, out })])
  const [line, url] = await server.until(/^listening on \S+ for 1 devices: kerf join (\S+) --data FILE.*$/m)
  assert.match(line, expected)
  const joined = await joinAt(url, 5)
  assert.is(joined.exitCode, 0, `${line}\n${joined.stderr}`)
  assert.is((await server.ended).exitCode, 0, server.stderr())
}

test('the address that serve prints works as it stands', async () => {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const outside = all.find(({ internal, family }) => !internal && family === 'IPv4')
  await serveOn('0.0.0.0', outside ? /ws:\/\/127\.0\.0\.1:.*; from other machines ws:\/\/\d/ : /ws:\/\/127\.0\.0\.1:/)
  await serveOn('0', /ws:\/\/127\.0\.0\.1:/)
  await serveOn('localhost', /ws:\/\/localhost:\d+ /)
  if (!all.some(({ address }) => address === '::1')) return skipTest('no IPv6', { optional: true })
  await serveOn('::1', /ws:\/\/\[::1\]:\d+ /)
  await serveOn('[::1]', /ws:\/\/\[::1\]:\d+ /)
  await serveOn('::', /ws:\/\/\[::1\]:\d+ /)
  await serveOn('::ffff:127.0.0.1', /ws:\/\/\[::ffff:127\.0\.0\.1\]:\d+ /)
})

test('a directory for stdin, and more tokens than the model has positions', async () => {
  const lines = ['infer', ...flagsOf({ model, adapter: join(at, 'first') })]
  expectLine(await startProcess('bash', ['-c', `exec ${SHELL_CALL} "$@" < /tmp`, 'kerf', ...lines]).ended,
    /^kerf: stdin: expected a file, got "a directory"$/, 2)
  const long = await startKerf([...infer, '--max-length', '8192']).ended
  expectLine(long, /^kerf: --max-length: expected at most the model's \d+ positions, got 8192$/, 2)
})

test('hosts that no address can name', async () => {
  for (const host of ['', ' ', 'fe80::1%eth0']) {
    const { stderr } = await callKerf(['serve', ...flagsOf({ ...BASE, host, port: 0, out: join(at, 'none') })], 2)
    assert.match(stderr, /^kerf: --host: expected an address of this machine, .*\n$/)
  }
})

test.run()
