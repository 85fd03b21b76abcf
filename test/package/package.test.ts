/**
 * The tarball in an empty project: what is in it, its types, and one training step through each entry, with the bits of the
 * sources on every host that is there.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TokenizedDataset } from '../../runtime/data/dataset.ts'
import { collectBatch } from '../../runtime/data/sampler.ts'
import { createChecksum } from '../../runtime/kernel/checksum.ts'
import { parseConfig } from '../../runtime/model/config.ts'
import { initialVector } from '../../runtime/model/initial.ts'
import { layoutOf, splitVector } from '../../runtime/model/layout.ts'
import { ADAMW, freshState } from '../../runtime/model/optimizer.ts'
import type { AdapterConfig } from '../../runtime/model/peft.ts'
import { encodeAdapter } from '../../runtime/model/peft.ts'
import { Stage } from '../../runtime/model/stage.ts'
import { openWeights } from '../../runtime/model/weights.ts'
import { RUNTIME } from '../../scripts/runtime.ts'
import { openKernelBuild } from '../kernels.ts'
import { skipTest, skipUnlessNode } from '../skip.ts'
import { awaitProgram, findHost, makeProject, runProgram } from './project.ts'

const CHROMIUM = '/usr/bin/chromium'
/** Page time, after which the browser ends by itself. */
const PAGE_MS = 60_000
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-dev-shm-usage',
  `--virtual-time-budget=${PAGE_MS}`,
]
const TYPESCRIPT = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
const MIME: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' }

type Told = {
  kernel: { before: number; after: number; crc: number }
  device: { end: string; memoryBytes: number; before: number; crc: number }
  server: { losses: number[]; ended: boolean[]; crc: number }
  embedded: { done: boolean; crc: number }
  wire: { crc: number }
}
type Sample = { configText: string; weights: Uint8Array; adapter: AdapterConfig; data: TokenizedDataset }

/** The tarball is npm's; Deno and Bun are hosts of it. */
function testPackage(name: string, run: () => unknown): void {
  test(name, async () => {
    if (!skipUnlessNode('npm, which packs the tarball and installs it')) await run()
  })
}

const { at, packed } = RUNTIME === 'node' ? makeProject() : { at: '', packed: [] }
const line = RUNTIME === 'node' ? runProgram(process.execPath, ['host.mjs'], at).trim() : '{}'
const told = JSON.parse(line) as Told

testPackage('what is packed: entries, binaries, program, and nothing that only builds or tests', () => {
  const strange = packed.filter((file) => !/^(dist\/|assembly\/|package\.json$|README\.md$|LICENSE$|runtime\/wire\/SPEC\.md$)/.test(file))
  assert.equal(strange, [])
  const needed = ['dist/kerf.js', 'dist/kerf.simd.wasm', 'dist/kerf.embedded.js', 'dist/package/kernel.js', 'LICENSE']
  for (const name of needed) assert.ok(packed.includes(name), name)
  const { dependencies = {} } = JSON.parse(readFileSync(join(at, 'node_modules/kerf/package.json'), 'utf8')) as { dependencies?: object }
  assert.equal(dependencies, {})
  const { packages } = JSON.parse(readFileSync(join(at, 'package-lock.json'), 'utf8')) as { packages: object }
  assert.equal(Object.keys(packages).filter((name) => name !== ''), ['node_modules/kerf'])
})

testPackage('the example programs keep to the types, with no types of Node and every declaration checked', () => {
  writeFileSync(join(at, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      allowJs: true, checkJs: true, strict: true, noEmit: true, module: 'NodeNext', target: 'ES2022', lib: ['ES2022', 'DOM'], types: [],
      skipLibCheck: false,
    },
    files: ['all.mjs', 'browser.mjs'],
  }))
  runProgram(process.execPath, [TYPESCRIPT, '--project', '.'], at)
})

testPackage('each entry learns something in one step', () => {
  const { kernel, device, server, embedded } = told
  assert.ok(kernel.after < kernel.before, `${kernel.after} < ${kernel.before}`)
  assert.is(device.end, 'updated')
  assert.is.not(device.crc, device.before)
  assert.equal(server.ended, [true, true])
  // Of two devices with the same texts the average is either's.
  assert.equal(embedded, { done: true, crc: server.crc })
})

testPackage("a server's run gives the bits of the sources: the unsplit model, by hand", async () => {
  const { configText, weights, adapter, data } = await import(new URL('example/model.mjs', import.meta.url).href) as Sample
  const kernel = await openKernelBuild('simd'), config = parseConfig(configText)
  const source = { name: 'weights', bytes: weights.length, read: async (begin: number, end: number) => weights.slice(begin, end), close: async () => {} }
  const labels = 2, layout = layoutOf(config, adapter, labels, 0, config.layers)
  const stage = await Stage.open(kernel, {
    config, from: 0, to: config.layers, labels, adapter, training: 'adapters', setsFrom: [0], rows: 7, sequences: 2, longest: 4,
  }, await openWeights(source))
  // The two devices have the same texts, so that their average is either's; in which order a device takes its two, a seed says.
  const crcs = [[0, 1], [1, 0]].map((order) => {
    const { labels: wanted, ...batch } = collectBatch(data, order)
    stage.writeSet(0, freshState(initialVector(layout, 0, kernel.exports)))
    stage.forward(batch)
    stage.loss(wanted)
    stage.clearGradients()
    stage.backward()
    stage.update({ ...ADAMW, learningRate: 0.01 })
    return createChecksum(kernel)(encodeAdapter(splitVector(layout, stage.readSet(0).params), config, adapter, labels))
  })
  assert.ok(crcs.includes(told.server.crc), `${told.server.crc} among ${crcs}`)
})

for (const [name, args] of [['deno', ['run', '--allow-read']], ['bun', ['run']]] as const) {
  testPackage(`${name}: the same line as Node`, () => {
    const host = findHost(name)
    if (host === undefined) return skipTest(`no ${name}`)
    assert.is(runProgram(host, [...args, 'host.mjs'], at).trim(), line)
  })
}

testPackage('a browser: bundled, its binary streamed, and the same line as Node', async () => {
  if (!existsSync(CHROMIUM)) return skipTest(`no ${CHROMIUM}`)
  const site = join(at, 'site')
  mkdirSync(site)
  copyFileSync(join(at, 'node_modules/kerf/dist/kerf.embedded.js'), join(site, 'kerf.embedded.js'))
  await build({
    entryPoints: [join(at, 'browser.mjs')], outdir: site, bundle: true, format: 'esm', platform: 'browser', minify: true,
    loader: { '.wasm': 'file' }, logLevel: 'silent',
  })
  // The page hands in what it has: a document is dumped when it has loaded, whatever its modules still wait for.
  writeFileSync(join(site, 'index.html'), `<!doctype html><body><script type="module">
    import('./browser.js').then(() => document.body.textContent, String).then((body) => fetch('/told', { method: 'POST', body }))
  </script>`)
  let answer: (body: string) => void
  const answered = new Promise<string>((resolve) => { answer = resolve })
  const server = createServer((request, response) => {
    const path = request.url === '/' ? '/index.html' : request.url!
    if (request.method === 'POST') {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('end', () => {
        response.end()
        answer(body)
      })
    } else if (existsSync(join(site, path))) response.setHeader('content-type', MIME[extname(path)] ?? '').end(readFileSync(join(site, path)))
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const browser = awaitProgram(CHROMIUM, [...FLAGS, `--user-data-dir=${join(at, 'profile')}`, '--dump-dom', `http://127.0.0.1:${port}/`])
  try {
    const ended = browser.then(() => 'a browser that ended without an answer')
    assert.is(await Promise.race([answered, ended]), line)
    await browser.catch(() => {})
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

test.run()
