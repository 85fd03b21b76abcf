/** Browsers: a page of a small server on this machine, isolated across origins so that its workers may share memory. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { askCommand, versionIn } from '../command.ts'
import type { Build, Found, Host, Suite } from '../host.ts'
import { freePort } from '../port.ts'

const RUN_MS = 240_000
const TYPES: Readonly<Record<string, string>> = { js: 'text/javascript', wasm: 'application/wasm' }
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cache-Control': 'no-store' }
const PAGE = '<!doctype html><meta charset="utf-8"><title>Kerf conformance</title><script src="/drive.page.js"></script>'

type Visit = { url: string; lines: Promise<string[]>; close(): void }

/** Serves the page, and takes the one report that it sends. */
async function servePage({ folder, binaries }: Suite, build: Build): Promise<Visit> {
  let report!: (lines: string[]) => void
  const lines = new Promise<string[]>((resolve) => { report = resolve })
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? '/', 'http://localhost').pathname.slice(1)
    if (request.method === 'POST') {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => { body += chunk }).on('end', () => {
        response.writeHead(204, ISOLATED).end()
        report(body.split('\n'))
      })
      return
    }
    const type = TYPES[name.split('.').pop() ?? '']
    try {
      if (type !== undefined && !/^[\w.]+$/.test(name)) throw new Error('expected a file of the suite')
      const body = type === undefined ? PAGE : readFileSync(`${type === TYPES.wasm ? `${binaries}/` : folder}${name}`)
      response.writeHead(200, { ...ISOLATED, 'Content-Type': type ?? 'text/html' }).end(body)
    } catch {
      response.writeHead(404, ISOLATED).end()
    }
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/?build=${build}`, lines, close: () => { server.closeAllConnections(); server.close() } }
}

/** A browser that has been started, and how it is ended. */
type Opened = { process: ChildProcess; close(): void | Promise<void> }
type Open = (url: string, profile: string) => Opened | Promise<Opened>

async function visit(suite: Suite, build: Build, open: Open): Promise<string[]> {
  const { url, lines, close } = await servePage(suite, build)
  const profile = mkdtempSync(join(tmpdir(), 'kerf-conform-'))
  let opened: Opened | undefined
  try {
    opened = await open(url, profile)
    let said = ''
    opened.process.stderr?.setEncoding('utf8').on('data', (chunk: string) => { said = (said + chunk).slice(-2000) })
    const ended = new Promise<never>((_, reject) => {
      opened!.process.once('exit', (code) => reject(new Error(`browser: expected a report, got exit code ${code}\n${said}`)))
      setTimeout(() => reject(new Error(`browser: expected a report within ${RUN_MS / 1000} s\n${said}`)), RUN_MS).unref()
    })
    return await Promise.race([lines, ended])
  } finally {
    await opened?.close()
    close()
    await new Promise((resolve) => { setTimeout(resolve, 200) })
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** A program in a process group of its own, ended with all its children. */
function start(file: string, args: readonly string[], env: Record<string, string> = {}): Opened {
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true, env: { ...process.env, ...env } })
  return {
    process: child,
    close() {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It ended by itself.
      }
    },
  }
}

function findBy(file: string, engine: (version: string) => string): Found | undefined {
  const said = askCommand(file, ['--version'])
  return said === undefined ? undefined : { version: versionIn(said), engine: engine(versionIn(said)) }
}

const CHROMIUM_FLAGS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-dev-shm-usage']
/** No updates, no first page, no other addresses. */
const FIREFOX_PREFERENCES = `user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
`

const DRIVER = 'WebKitWebDriver'
const DRIVER_START_MS = 15_000

async function postJson(url: string, body: unknown): Promise<{ value: { sessionId: string } }> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) })
  const answer = await response.text()
  if (!response.ok) throw new Error(`${DRIVER}: ${answer.slice(0, 500)}`)
  return JSON.parse(answer) as { value: { sessionId: string } }
}

/** WebKitGTK has shared memory, and relaxed SIMD where its engine knows it, behind options. */
const WEBKIT_OPTIONS = { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', JSC_useSharedArrayBuffer: '1', JSC_useWasmRelaxedSIMD: '1' }

/** WebKitWebDriver starts MiniBrowser, in a display that Xvfb makes. */
async function openWebkit(url: string): Promise<Opened> {
  const port = await freePort()
  const opened = start('xvfb-run', ['-a', DRIVER, '--host=127.0.0.1', `--port=${port}`], WEBKIT_OPTIONS)
  const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': { binary: findBrowser(), args: ['--automation'] } } }
  try {
    for (const end = Date.now() + DRIVER_START_MS; ;) {
      try {
        await fetch(`http://127.0.0.1:${port}/status`)
        break
      } catch (error) {
        if (Date.now() > end) throw error
        await new Promise((resolve) => { setTimeout(resolve, 100) })
      }
    }
    const { value: { sessionId } } = await postJson(`http://127.0.0.1:${port}/session`, { capabilities })
    await postJson(`http://127.0.0.1:${port}/session/${sessionId}/url`, { url })
    return opened
  } catch (error) {
    await opened.close()
    throw error
  }
}

const BROWSERS = ['4.0', '4.1', '6.0'].map((api) => `/usr/lib/x86_64-linux-gnu/webkit2gtk-${api}/MiniBrowser`)
const findBrowser = () => BROWSERS.find((file) => askCommand('test', ['-x', file]) !== undefined)

export const HOSTS: readonly Host[] = [
  {
    name: 'Chromium', builds: ['scalar', 'simd', 'fast', 'threaded'], install: 'Debian package chromium', debian: ['chromium'],
    find: () => findBy('chromium', (version) => `V8 of ${version}`),
    run: (suite, build) => visit(suite, build, (url, profile) => start('chromium', [...CHROMIUM_FLAGS, `--user-data-dir=${profile}`, url])),
  },
  {
    name: 'Firefox', builds: ['scalar', 'simd', 'fast', 'threaded'], install: 'Debian package firefox-esr', debian: ['firefox-esr'],
    find: () => findBy('firefox-esr', (version) => `SpiderMonkey of ${version}`),
    run: (suite, build) => visit(suite, build, (url, profile) => {
      writeFileSync(join(profile, 'user.js'), FIREFOX_PREFERENCES)
      return start('firefox-esr', ['--headless', '--no-remote', '--profile', profile, url], { HOME: profile })
    }),
  },
  {
    name: 'WebKitGTK', builds: ['scalar', 'simd', 'fast', 'threaded'], install: 'Debian packages webkit2gtk-driver, xvfb and xauth',
    debian: ['webkit2gtk-driver', 'xvfb', 'xauth'],
    find() {
      const version = askCommand('dpkg-query', ['-W', '-f=${Version}', 'webkit2gtk-driver'])
      return !version || findBrowser() === undefined ? undefined : { version: versionIn(version), engine: `JavaScriptCore of ${versionIn(version)}` }
    },
    run: (suite, build) => visit(suite, build, openWebkit),
  },
]
