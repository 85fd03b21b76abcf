/** A report as one HTML file that opens from disk: style, script and numbers are inside, and its security policy forbids any fetch. */
import { renderCurves } from './page.curves.ts'
import { renderDevices } from './page.devices.ts'
import { STYLE } from './page.style.ts'
import { renderHeader, renderSummary } from './page.summary.ts'
import { renderTimelines } from './page.timeline.ts'
import { html, trustStyle } from './markup.ts'
import type { Report } from './report.ts'

/**
 * uPlot's script that declares the global `uPlot`, and its style sheet, read by the host. With both empty the page shows
 * the curves' numbers as tables only.
 */
export type PageAssets = { chartScript: string; chartStyle: string }

/** Draws `report` as a complete HTML document. Numbers that are not finite show as a dash; everything a user wrote is escaped. */
export function renderPage(report: Report, assets: PageAssets): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Kerf report: ${report.model.name}</title>
<style>${trustStyle(assets.chartStyle)}</style>
<style>${trustStyle(STYLE)}</style>
</head>
<body>
${renderHeader(report)}
<main>
${renderSummary(report)}
${report.schemes.length === 0 ? '' : renderCurves(report, assets.chartScript)}
${renderTimelines(report)}
${report.schemes.length === 0 ? '' : renderDevices(report)}
</main>
<footer>Written by Kerf ${report.kerf}. 1 KiB is 1024 bytes.</footer>
</body>
</html>
`.text
}
