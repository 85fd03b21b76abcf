import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Script } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chartAccuracy, chartLoss, type Chart } from '../../runtime/report/page.curves.ts'
import { renderPage } from '../../runtime/report/page.ts'
import type { Report } from '../../runtime/report/report.ts'
import { makeReport } from './sample.ts'

const ASSETS = { chartScript: 'var uPlot = function () {}', chartStyle: '.uplot{}' }
const VOID = new Set(['meta', 'input', 'br'])

/** The page without the insides of script and style, whose tags must balance. */
function checkTags(page: string): void {
  const open: string[] = []
  const bare = page.replace(/(<(script|style)[^>]*>)[^]*?(?=<\/\2>)/g, '$1')
  for (const [, close, name, selfClosed] of bare.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:[^<>"]|"[^"]*")*?(\/?)>/g)) {
    if (selfClosed === '/' || VOID.has(name)) continue
    if (close === '') open.push(name)
    else assert.is(open.pop(), name)
  }
  assert.equal(open, [])
}

function scriptsOf(page: string): string[] {
  return [...page.matchAll(/<script>([^]*?)<\/script>/g)].map((match) => match[1])
}

function chartsOf(page: string): Chart[] {
  return JSON.parse(/<script type="application\/json" id="charts">([^]*?)<\/script>/.exec(page)?.[1] ?? '[]') as Chart[]
}

function textOf(page: string): string {
  return page.replace(/<(script|style)[^]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' ')
}

test('a whole page: balanced, self-contained, with every scheme and device', () => {
  const report = makeReport()
  const page = renderPage(report, ASSETS)
  checkTags(page)
  assert.not.match(page, /\b(?:src|href)=|url\(|https?:|@import/)
  assert.match(page, "default-src 'none'")
  const text = textOf(page)
  for (const scheme of report.schemes) assert.match(text, scheme.scheme)
  assert.is([...page.matchAll(/<th scope="row">device \d/g)].length, 5 * 6)
  assert.is([...page.matchAll(/<figure class="timeline"/g)].length, 6)
  assert.match(text, '45\u202f298\u202f483 bytes')
  assert.match(text.replace(/ +/g, ' '), 'kerf against sfl : the same accuracy, 11 % more time, 80 % less server memory')
})

test('the scripts parse, and the real chart library goes in unchanged in meaning', () => {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot/package.json'))
  const read = (name: string) => readFileSync(join(folder, 'dist', name), 'utf8')
  const page = renderPage(makeReport(), { chartScript: read('uPlot.iife.min.js'), chartStyle: read('uPlot.min.css') })
  const scripts = scriptsOf(page)
  assert.is(scripts.length, 3)
  for (const script of scripts) new Script(script)
  assert.ok(scripts[0].includes('uPlot'))
})

test('an asset cannot close its element', () => {
  const hostile = { chartScript: 'var a = "</script><script>bad()</ScRiPt>", b = "<!--"', chartStyle: '.a::after{content:"</style><b>"}' }
  const page = renderPage(makeReport(1), hostile)
  checkTags(page)
  const script = scriptsOf(page).find((code) => code.includes('bad()')) ?? ''
  assert.is(new Script(`${script}; a + b`).runInNewContext(), '</script><script>bad()</ScRiPt><!--')
  assert.not.match(page.replaceAll('<!doctype', ''), '<!--')
})

test('everything a user names is escaped', () => {
  const attack = `"><img src=x onerror='bad()'>&</script><!--`
  const sample = makeReport(2)
  const report: Report = {
    ...sample,
    command: attack,
    host: attack,
    labels: sample.labels.map((label) => label + attack),
    model: { ...sample.model, name: attack },
    adapter: { ...sample.adapter, targets: [attack] },
    schemes: sample.schemes.map((scheme) => ({
      ...scheme, scheme: scheme.scheme + attack, scheduler: attack,
      timeline: scheme.timeline.map((span) => ({ ...span, party: span.party + attack })),
    })),
  }
  const page = renderPage(report, ASSETS)
  checkTags(page)
  assert.not.match(page, /<img|<!--/)
  assert.match(page, '&quot;&gt;&lt;img src=x onerror=&#39;bad()&#39;&gt;&amp;&lt;/script&gt;')
  assert.is(chartsOf(page)[0].curves[0].name, `kerf${attack}`)
})

test('one scheme, 24 devices, no evaluation, missing numbers', () => {
  const sample = makeReport(1, 24)
  const missing = { evaluations: [], accuracyAfter: NaN, macroF1After: NaN, lossAfter: Infinity, majorityAccuracy: NaN }
  const page = renderPage({ ...sample, schemes: [{ ...sample.schemes[0], ...missing }] }, ASSETS)
  checkTags(page)
  assert.not.match(textOf(page), /NaN|Infinity|undefined|null/)
  assert.not.match(page, /id="scale"|NaN%|class="compared"/)
  assert.is([...page.matchAll(/<th scope="row">device \d/g)].length, 24)
  assert.equal(chartsOf(page)[0].rounds, [0])
})

test('an empty report, and a scheme in which nothing happened', () => {
  const sample = makeReport(1)
  const empty = renderPage({ ...sample, labels: [], schemes: [] }, ASSETS)
  checkTags(empty)
  assert.match(empty, 'No scheme was run.')
  const idle = {
    ...sample.schemes[0], rounds: 0, devices: [], losses: [], evaluations: [], timeline: [], wallMs: 0,
    accuracyBefore: NaN, accuracyAfter: NaN, server: { memoryBytes: 0, modelBytes: 0, setBytes: 0, computeMs: 0, waitMs: 0 },
  }
  for (const schemes of [[idle], [idle, idle]]) {
    const page = renderPage({ ...sample, schemes }, ASSETS)
    checkTags(page)
    assert.not.match(page, /NaN|Infinity|undefined/)
    assert.match(page, 'No losses and no evaluations were recorded.')
  }
})

test('more labels than colours share one, and the bar still adds up', () => {
  const sample = makeReport(1, 1)
  const labels = Array.from({ length: 77 }, (_, index) => `label-${index}`)
  const device = { ...sample.schemes[0].devices[0], labelCounts: labels.map((_, index) => index + 1) }
  const devices = [device, { ...device, client: 1, labelCounts: labels.map(() => 0) }]
  const page = renderPage({ ...sample, labels, schemes: [{ ...sample.schemes[0], devices }] }, ASSETS)
  assert.match(page, '70 other labels')
  const flexes = [...page.matchAll(/style="flex:(\d+);/g)].map((match) => Number(match[1]))
  assert.is(flexes.length, 8)
  assert.is(flexes.reduce((a, b) => a + b), (77 * 78) / 2)
  assert.match(page, 'most: label-76 2.6 %')
})

test('curves: aligned rounds, end points, coinciding schemes named, long runs thinned', () => {
  const accuracy = chartAccuracy(makeReport())
  assert.equal(accuracy.rounds, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60])
  assert.match(accuracy.caption, 'kerf and sfl coincide exactly.')
  assert.ok(accuracy.curves.every((curve) => curve.values.length === accuracy.rounds.length))
  const long = makeReport(2, 2, 9000)
  const losses = [{ round: 3, client: 0, loss: 1.25 }, { round: 3, client: 1, loss: NaN }]
  const loss = chartLoss({ ...long, schemes: [long.schemes[0], { ...long.schemes[1], losses }] })
  assert.ok(loss.rounds.length <= 401, String(loss.rounds.length))
  assert.match(loss.caption, 'moving mean over 621 rounds')
  assert.is(loss.curves[1].values.filter((value) => value !== null).length, 1)
  assert.is(loss.curves[1].values[0], 1.25)
})

test('smoothing keeps a straight line straight, to its ends', () => {
  const sample = makeReport(1)
  const losses = Array.from({ length: 120 }, (_, index) => ({ round: index + 1, client: 0, loss: 200 - index }))
  const { curves } = chartLoss({ ...sample, schemes: [{ ...sample.schemes[0], losses }] })
  assert.equal(curves[0].values, losses.map(({ loss }) => loss))
})

test('a timeline with hundreds of parties is cut and says so', () => {
  const sample = makeReport(1, 200)
  const page = renderPage(sample, ASSETS)
  assert.match(page, '137 more parties are not drawn')
  assert.is([...page.matchAll(/class="lane"/g)].length, 64)
})

test.run()
