import { PAGE_STYLE } from '../../core/page-style.ts'
import type { ReportModel } from './model.ts'

/** The report's style: light and dark on a screen, always light on paper. */
export const STYLE = `${PAGE_STYLE}
.n-dead{color:var(--dead)}
.n-alive{color:var(--alive);font-weight:680}
.n-unknown{color:var(--unknown);font-weight:680}
.mark{color:var(--unknown);font-weight:400;font-size:.86em}

h1 span{display:inline-block}
.words tbody th[scope=row],.words tfoot th{white-space:nowrap;overflow-wrap:normal}
.eyebrow{color:var(--soft);font-size:.9rem}
.judgement{display:flex;gap:.6rem;align-items:flex-start;margin-top:1.6rem;font-size:1.12rem;font-weight:640;line-height:1.35}
.judgement .sign{flex:none;margin-top:.05rem}
.sign circle,.sign .solid{fill:currentColor;stroke:currentColor;stroke-width:1.5;stroke-linejoin:round}
.sign path:not(.solid){fill:none;stroke:var(--paper);stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round}
.tone-good .judgement{color:var(--dead)}
.tone-open .judgement{color:var(--unknown)}
.tone-bad .judgement{color:var(--alive)}
.tone-neutral .judgement{color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:.35rem 1.6rem;list-style:none;padding:0;margin:.7rem 0 0;font-size:.95rem;font-variant-numeric:tabular-nums}
.legend li{display:flex;align-items:center;gap:.45rem}
.swatch{flex:none}
.caveats{margin:1.5rem 0 0;padding:.9rem 1.1rem .9rem 2.2rem;background:var(--sheet);border-radius:6px;max-width:none}
.caveats li+li{margin-top:.35rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1.2rem 1.5rem;margin-top:1.9rem}
.figures dt{color:var(--soft);font-size:.9rem}
.figures dd{margin:0;font-size:1.55rem;line-height:1.25;font-weight:640;letter-spacing:-.015em;font-variant-numeric:tabular-nums}
.figures dd small{display:block;font-size:.86rem;font-weight:400;letter-spacing:0;line-height:1.4}
.figures.plain{margin-top:.6rem}
.figures.plain dd{font-size:1.2rem}

.zero,.zero th,.zero td,td.zero{color:var(--soft);font-weight:400}
tbody tr.zero th[scope=row]{font-weight:400}
.tally th:first-child{width:100%}
.tally .who{display:block;margin-bottom:.22rem}
.tally td.num{padding-left:.6rem}
.ladder th:first-child{width:34%}
.ladder .bar{margin-top:.25rem}
.ladder .line th{border-top:2px dashed var(--soft);border-bottom:1px solid var(--hair);color:var(--soft);font-size:.88rem;padding:.5rem 0}
.returns th:first-child,.returns td:first-child{width:38%}
.returns details{margin:.2rem 0}
.id{display:block;color:var(--soft);font-weight:400}
.checks td:last-child,.when{white-space:nowrap;font-variant-numeric:tabular-nums}
.events td:last-child{width:100%}
.events th{white-space:nowrap}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:0 2.5rem}
.pair table{align-self:start}

.facts{display:grid;gap:.3rem}
.facts>div{display:grid;grid-template-columns:7.5rem 1fr;gap:1rem}
.facts dt{color:var(--soft)}
.facts dd{margin:0;min-width:0}
.facts.small{font-size:.92rem;margin:.8rem 0}
.facts.small>div{grid-template-columns:5.2rem 1fr;gap:.7rem}
.looks{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:1.5rem 2.2rem}
.look h3{margin-top:.6rem}
.state{font-weight:640;margin-bottom:.35rem;color:var(--soft)}
.is-whole{color:var(--dead)}
.is-part{color:var(--unknown)}

.todo{list-style:none;padding:0}
.todo li{display:grid;grid-template-columns:1.25rem 1fr;gap:.9rem;padding:.9rem 0;border-bottom:1px solid var(--hair)}
.todo h3{margin:0 0 .15rem}
.box{width:1.15rem;height:1.15rem;border:1.5px solid var(--soft);border-radius:3px;margin-top:.12rem}
.count{color:var(--soft);font-weight:400;font-variant-numeric:tabular-nums}
.count::before{content:"× "}

.tokens{min-width:46rem;font-size:.88rem}
.tokens td{padding-right:1.1rem}
.tokens td:first-child,.tokens code{white-space:nowrap}
.tokens td:nth-child(2){width:36%}

.bar{border-radius:3px;overflow:hidden}
.top .bar{border-radius:5px}
.is-dead{fill:var(--fill-dead)}
.is-alive{fill:url(#fill-alive)}
.is-unknown{fill:url(#fill-unknown)}
.is-quiet{fill:var(--fill-soft)}
.fill-alive{fill:var(--fill-alive)}
.fill-unknown{fill:var(--fill-unknown)}
.fill-gap{fill:var(--paper);fill-opacity:.55}
.bar-track{fill:var(--hair)}
.plot{display:grid;grid-template-columns:auto 1fr;gap:.4rem .7rem;margin:1rem 0 0;font-size:.86rem;color:var(--soft);font-variant-numeric:tabular-nums}
.plot-y{display:flex;flex-direction:column;justify-content:space-between;text-align:right;margin:-.65em 0}
.plot-area{width:100%;height:15rem;overflow:visible}
.plot-x{grid-column:2;position:relative;height:1.5em}
.plot-x span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.plot-x span:first-child{transform:none}
.plot-area path,.swatch path{fill:none;vector-effect:non-scaling-stroke;stroke-width:2.2}
.plot-area .grid{stroke:var(--hair);stroke-width:1}
.plot-area .axis{stroke:var(--soft);stroke-width:1}
.plot-area .area-dead{fill:var(--tint-dead);stroke:none}
.line-dead{stroke:var(--fill-dead)}
.line-answered{stroke:var(--soft);stroke-dasharray:5 4}
.strip-max{fill:var(--tint-dead)}
.strip-p90{fill:var(--tint-mid)}
.strip-median{fill:var(--fill-dead)}
.strip{overflow:visible}
.strip-mark{stroke:var(--ink);stroke-width:1.5}

@media (max-width:40rem){
.page{padding:1.5rem 1rem 3rem}
th,td{padding-right:.55rem}
.tally td.num{padding-left:.2rem}
.tally,.tally thead th{font-size:.84rem}
.facts>div{grid-template-columns:5.6rem 1fr;gap:.7rem}
.figures{grid-template-columns:1fr 1fr}
.events th{white-space:normal}
.events td.when,.checks td:last-child{white-space:normal}
.plot-area{height:12rem}}

@media print{
html{color-scheme:light}
body{font-size:10pt;line-height:1.42}
.page{max-width:none;padding:0}
h1{font-size:24pt;margin-bottom:12pt}
h2{font-size:14pt}
nav,summary{display:none}
section{margin-top:16pt;padding-top:12pt}
h2,h3,caption,thead,.legend,section>p{break-after:avoid}
footer{margin-top:10pt;padding-top:8pt}
footer,tfoot tr{break-before:avoid}
section>p{break-inside:avoid}
.facts{break-inside:avoid}
tfoot{display:table-row-group}
.words{break-inside:avoid}
.looks{grid-template-columns:repeat(3,1fr);gap:12pt;font-size:8.6pt}
.looks .facts.small{font-size:8pt}
.looks .facts.small>div{grid-template-columns:3.6rem 1fr}
tr,.todo li,.look,.keep,.figures,.caveats,.facts>div{break-inside:avoid}
table{font-size:9pt}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--line)}
.scroll{overflow:visible}
.tokens{min-width:0;font-size:7.6pt}
.plot-area{height:12rem}
a{color:inherit;text-decoration:none}
svg,.caveats,pre{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible!important;block-size:auto!important;opacity:1!important}}
`

/**
 * Returns the margins of the printed page: the run and the number of each page, and on every page
 * that the inventory was partial, when it was.
 *
 * @see https://www.w3.org/TR/css-page-3/#margin-boxes
 */
export function pageStyle(model: ReportModel): string {
  const partial = model.before.complete ? '' : ' – made on a partial inventory'
  return `@page{size:A4;margin:16mm 15mm 18mm;
@bottom-left{content:${cssString(`Rescind, run ${model.summary.run}${partial}`)};font:8pt system-ui,sans-serif;color:#566270}
@bottom-right{content:counter(page) " of " counter(pages);font:8pt system-ui,sans-serif;color:#566270}}
`
}

/** Writes a CSS string in which nothing but letters, digits and spaces stands as it is. */
export function cssString(text: string): string {
  const escaped = text.replace(
    /[^A-Za-z0-9 _,.-]/gu,
    (character) => `\\${(character.codePointAt(0) ?? 0).toString(16)} `,
  )
  return `"${escaped}"`
}
