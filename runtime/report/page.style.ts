/**
 * The page's colours and style sheet. The eight hues are chosen by search so that the first seven stay apart for
 * protan, deutan and normal sight (OKLab distance of at least 13 hundredths) at a contrast of 3 to 1 against the
 * page; no meaning hangs on colour alone. Print always uses the light set.
 */

/** [fill, ink upon it] by series. */
const LIGHT_SERIES = [
  ['#2d36b3', '#fff'],
  ['#fa6507', '#111'],
  ['#32a788', '#111'],
  ['#a47af8', '#111'],
  ['#7a570d', '#fff'],
  ['#7c074a', '#fff'],
  ['#06738f', '#fff'],
  ['#6b7683', '#fff'],
]

const DARK_SERIES = [
  ['#6eb0fa', '#0b0e12'],
  ['#d16b07', '#0b0e12'],
  ['#57c896', '#0b0e12'],
  ['#8166ed', '#fff'],
  ['#fcd62e', '#0b0e12'],
  ['#d13f8b', '#fff'],
  ['#89f9fc', '#0b0e12'],
  ['#8b97a5', '#0b0e12'],
]

/** How many series have a colour of their own; further ones start again. */
export const SERIES_COLOURS = LIGHT_SERIES.length

/** Height in px of one party's row of the timeline, in the style sheet and in the drawing. */
export const LANE_HEIGHT = 20

/** The CSS colour of series `index`. */
export function colourOf(index: number): string {
  return `var(--s${index % SERIES_COLOURS})`
}

/** The CSS colour of text upon series `index`. */
export function inkOf(index: number): string {
  return `var(--i${index % SERIES_COLOURS})`
}

function declareSeries(series: readonly (readonly string[])[]): string {
  return series.map(([fill, ink], index) => `--s${index}:${fill};--i${index}:${ink}`).join(';')
}

const LIGHT = `--page:#f6f7f9;--card:#fff;--text:#15191f;--quiet:#55606d;--line:#dde2e8;--faint:#eef1f4;--bar:#b9c6dd;--idle:#8d98a6;
${declareSeries(LIGHT_SERIES)}`
const DARK = `--page:#0f1317;--card:#181d23;--text:#e8ecf1;--quiet:#a3adba;--line:#2f3741;--faint:#20272f;--bar:#3d5478;--idle:#717d8b;
${declareSeries(DARK_SERIES)}`

export const STYLE = `
:root{color-scheme:light;${LIGHT}}
@media screen and (prefers-color-scheme:dark){:root:not(.printing){color-scheme:dark;${DARK}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);overflow-wrap:break-word;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Arial,sans-serif;font-variant-numeric:tabular-nums}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 24px}
header{padding-top:32px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px}
h2{font-size:20px;line-height:1.3;margin:0 0 4px}
h3{font-size:16px;line-height:1.4;margin:0}
p{margin:0 0 12px}
a{color:inherit}
.quiet,figcaption,.unit{color:var(--quiet)}
.lead{color:var(--quiet);font-size:16px}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 24px;margin:20px 0}
section>:last-child{margin-bottom:0}
pre{margin:8px 0 0;padding:10px 12px;background:var(--faint);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;
font:13px/1.5 ui-monospace,"SFMono-Regular",Menlo,Consolas,monospace}
details>summary{cursor:pointer;color:var(--quiet);padding:4px 0}
details>summary:focus-visible,input:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:10px 28px;margin:16px 0 8px}
.facts dt,.tiles dt{color:var(--quiet);font-size:13px}
.facts dd,.tiles dd{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:16px 24px;margin:16px 0 4px}
.tiles dd{font-size:22px;font-weight:600;line-height:1.3}
.tiles dd small{display:block;font-size:13px;font-weight:400;color:var(--quiet)}
.compared{margin:16px 0 0;padding:0;list-style:none;display:grid;gap:4px}
.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px;vertical-align:-1px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 12px;padding:0;list-style:none;font-size:14px}

.scroll{overflow-x:auto;margin-top:12px}
table{border-collapse:collapse;width:100%}
th,td{padding:7px 10px;text-align:right;vertical-align:top;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--quiet);font-weight:500;font-size:13px;line-height:1.3;vertical-align:bottom;padding-top:2px;padding-bottom:5px}
thead tr:last-child th{border-bottom:1px solid var(--line)}
thead .group{text-align:center;border-bottom:1px solid var(--line)}
tbody th{font-weight:600}
tbody th small{display:block;font-weight:400;color:var(--quiet)}
tbody tr+tr>*,tfoot tr>*{border-top:1px solid var(--line)}
tfoot td,tfoot th{font-weight:600}
.number{display:block}
.meter{display:block;height:4px;border-radius:2px;background:var(--faint);margin-top:4px;min-width:40px}
.meter>span{display:block;height:100%;border-radius:2px;background:var(--bar);margin-left:auto}
.summary{font-size:14px}
.summary tr>*{padding-left:7px;padding-right:7px}
.summary th[scope=row],.summary th[rowspan]{padding-left:0}
.summary th[scope=col]:not([rowspan]){text-align:right}
.numbers td,.numbers th{padding-top:3px;padding-bottom:3px}

.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:24px 32px}
.charts figure,.timeline{margin:0;min-width:0}
figcaption{font-size:14px;margin:2px 0 8px}
.chart{min-height:120px}
.chart .u-legend{font-size:13px;margin:6px 0 0;text-align:left;width:100%}
.chart .u-legend tr{margin-right:12px}
.chart .u-legend tr>*{border:0;padding:2px 0}
.chart .u-legend th{font-weight:400;text-align:left}
.chart .u-legend th::after{content:none}
.chart .u-legend td{padding-left:4px;min-width:3.2em;text-align:left;color:var(--quiet)}
.chart .u-legend .u-marker{width:16px;height:0;border-radius:0;border-width:3px 0 0 !important;margin-right:6px}

.labels{display:flex;width:180px;height:16px;gap:1px;border-radius:3px;overflow:hidden;margin-top:3px}
.labels>span{display:block;min-width:1px}
.labelled{text-align:left}
.labelled small{display:block;color:var(--quiet);margin-top:2px}
.busy{display:flex;width:90px;height:8px;gap:1px;margin:4px 0 0 auto;border-radius:2px;overflow:hidden}
.busy>span{display:block}
.busy .computing,.key.computing{background:var(--s0)}
.busy .waiting,.key.waiting{background:var(--line)}

.scale{font-size:14px}
.timeline{margin-top:20px;break-inside:avoid}
.lanes{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:0 12px}
.parties{margin:0;padding:0;list-style:none;font-size:13px}
.parties li{height:${LANE_HEIGHT}px;line-height:${LANE_HEIGHT}px;display:flex;justify-content:space-between;gap:12px;white-space:nowrap}
.parties li span{color:var(--quiet)}
.plot{padding-right:18px}
.track{container-type:inline-size}
.scale:has(:checked)~.timeline .track{width:var(--share)}
.track svg{display:block;overflow:visible}
.track text{font-size:11px;fill:var(--quiet)}
.track .tick{stroke:var(--line)}
.track .lane{fill:var(--faint)}
@container (max-width:320px){.minor{display:none}}
@container (max-width:120px){.tickname{display:none}}
@container (max-width:620px){.letter.small{display:none}}
@container (max-width:160px){.letter{display:none}}

footer{color:var(--quiet);font-size:13px;padding-bottom:40px}

@media screen and (max-width:1000px){.charts{grid-template-columns:minmax(0,1fr)}}
@media screen and (max-width:760px){
header,main,footer{padding-left:12px;padding-right:12px}
header{padding-top:20px}
section{padding:16px 14px;margin:14px 0;border-radius:8px}
h1{font-size:24px}
.plot{padding-right:8px}
.lanes{gap:0 8px}
.parties li{gap:8px}
.cards thead{display:none}
.cards,.cards tbody,.cards tfoot,.cards tr,.cards th,.cards td{display:block}
.cards tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:8px 16px;padding:12px 0;border-top:1px solid var(--line)}
.cards tbody tr:first-child{border-top:0}
.cards tbody tr>*,.cards tfoot tr>*{border:0;padding:0;text-align:left;white-space:normal}
.cards tr>th,.cards .labelled{grid-column:1/-1}
.cards td::before{content:attr(data-name);display:block;color:var(--quiet);font-size:12px;font-weight:400}
.cards td:empty{display:none}
.cards .meter>span,.cards .busy{margin-left:0}
.labels{width:100%}
}
@media print{
@page{margin:14mm}
body{font-size:11px;background:none}
header,main,footer{max-width:none;padding:0}
section{border:0;border-top:1px solid var(--line);border-radius:0;padding:12px 0;margin:0}
section,.labels,.busy,.meter,.meter>span,.key,svg,.u-marker{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.scroll{overflow:visible}
table,.summary{font-size:9px}
th,td,.summary tr>*{padding:3px 4px}
table small,table thead th{font-size:8px}
.summary small{white-space:normal}
.charts{grid-template-columns:minmax(0,1fr)}
.charts details{display:none}
tfoot{display:table-row-group}
tr,figure{break-inside:avoid}
.timeline,.devices{margin-top:10px}
h2,h3,summary{break-after:avoid}
.labels{width:90px;height:10px}
.busy{width:40px;height:5px}
.meter{min-width:0}
.scale input,.scale label{display:none}
}
`
