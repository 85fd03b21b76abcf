/** The report page in a real browser: its scripts run, draw, and break nothing. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { renderPage } from '../../runtime/report/page.ts'
import { skipTest } from '../skip.ts'
import { makeReport } from './sample.ts'

const CHROMIUM = '/usr/bin/chromium'
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
]
const TIMEOUT_MS = 120_000
/** Page time, so that what waits for a timer or a frame has come before the page is read. */
const PAGE_MS = 2000

/** Runs before the page's own scripts and writes down in the document what goes wrong. */
const WITNESS = `<script>
const note = (problem) => { document.documentElement.dataset.problem = problem }
addEventListener('error', (event) => note(event.message))
addEventListener('unhandledrejection', (event) => note(String(event.reason)))
addEventListener('securitypolicyviolation', (event) => note(event.violatedDirective))
</script>`

function readAsset(name: string): string {
  return readFileSync(join(dirname(createRequire(import.meta.url).resolve('uplot/package.json')), 'dist', name), 'utf8')
}

/** The document after its scripts have run. */
function showPage(page: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'kerf-screen-'))
  try {
    const path = join(folder, 'report.html')
    writeFileSync(path, page.replace('<head>', () => `<head>${WITNESS}`))
    const flags = [...FLAGS, `--user-data-dir=${join(folder, 'profile')}`, `--virtual-time-budget=${PAGE_MS}`, '--dump-dom']
    const { stdout, stderr, status } = spawnSync(CHROMIUM, [...flags, pathToFileURL(path).href], { encoding: 'utf8', timeout: TIMEOUT_MS })
    assert.is(status, 0, `${CHROMIUM}: expected exit code 0, got ${status}\n${stderr}`)
    return stdout
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

function problemIn(dom: string): string | undefined {
  return /<html[^>]* data-problem="([^"]*)"/.exec(dom)?.[1]
}

test('charts and timelines are drawn, and no script fails', () => {
  if (!existsSync(CHROMIUM)) return skipTest(`no ${CHROMIUM}`)
  const report = makeReport()
  const dom = showPage(renderPage(report, { chartScript: readAsset('uPlot.iife.min.js'), chartStyle: readAsset('uPlot.min.css') }))
  assert.is(problemIn(dom), undefined)
  assert.is([...dom.matchAll(/<canvas[ >]/g)].length, 2)
  assert.is([...dom.matchAll(/<figure class="timeline"[^]*?<svg /g)].length, report.schemes.length)
  for (const { scheme } of report.schemes) assert.match(dom, new RegExp(`class="u-label"[^>]*>${scheme}`))
})

test('a script that fails is seen', () => {
  if (!existsSync(CHROMIUM)) return skipTest(`no ${CHROMIUM}`)
  const broken = 'var uPlot = function () { throw new Error("no chart") }'
  const dom = showPage(renderPage(makeReport(1), { chartScript: broken, chartStyle: '' }))
  assert.match(problemIn(dom) ?? '', 'no chart')
})

test.run()
