/** The style that all our pages share: light and dark on a screen, always light on paper. */
export const PAGE_STYLE = `
:root{
--paper:#ffffff;--sheet:#f5f6f8;--ink:#18212b;--soft:#566270;--line:#d8dde4;--hair:#e8ebef;--link:#1c4f8f;
--dead:#1d6b5e;--alive:#b3261e;--unknown:#865400;
--fill-dead:#2a8474;--fill-alive:#c8382e;--fill-unknown:#d08f1f;--fill-soft:#9aa6b4;--tint-dead:#d7ebe6;--tint-mid:#8fc3b7}
@media screen and (prefers-color-scheme:dark){:root{
--paper:#12171d;--sheet:#1a2129;--ink:#e5eaf0;--soft:#9eabb9;--line:#35404c;--hair:#262f39;--link:#8ab8f2;
--dead:#5cc4ae;--alive:#ff8d80;--unknown:#e6b658;
--fill-dead:#3c9d8a;--fill-alive:#e8574b;--fill-unknown:#d9a136;--fill-soft:#66727f;--tint-dead:#1e3b36;--tint-mid:#2c695d}}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif;overflow-wrap:anywhere}
.page{max-width:60rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}
.defs{position:absolute}
svg{display:block}
bdi{unicode-bidi:isolate}
h1,h2,h3,p,ul,ol,dl,figure,pre{margin:0}
h1{font-size:clamp(1.7rem,5.2vw,2.9rem);line-height:1.14;letter-spacing:-.022em;font-weight:680;text-wrap:balance;margin:.35rem 0 1.4rem;font-variant-numeric:tabular-nums}
h2{font-size:1.45rem;line-height:1.25;letter-spacing:-.012em;font-weight:660;margin-bottom:.6rem}
h3{font-size:1.02rem;line-height:1.35;font-weight:640;margin:2rem 0 .4rem}
section{padding-top:2.2rem;margin-top:2.6rem;border-top:1px solid var(--line)}
section>p,.keep>p{max-width:44rem;margin-bottom:1rem}
a{color:var(--link);text-underline-offset:.18em}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--link);outline-offset:3px}
code,pre{font-family:ui-monospace,"SF Mono",SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
small{font-size:.86em;color:var(--soft)}
.faint{color:var(--soft);font-weight:400}
.lead{font-size:1.12rem}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
nav{margin-top:2.4rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.92rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.3rem;list-style:none;padding:0}
main>section:first-child{margin-top:1.6rem;border-top:0;padding-top:1rem}
table{width:100%;border-collapse:collapse;margin:1.1rem 0;font-size:.94rem;line-height:1.4}
caption{text-align:left;color:var(--soft);font-size:.88rem;padding-bottom:.35rem}
th,td{text-align:left;vertical-align:top;padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--hair);font-weight:400}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--soft);font-size:.86rem;border-bottom:1px solid var(--line);vertical-align:bottom}
th.num,td.num{text-align:right}
tbody th[scope=row]{font-weight:560}
tfoot th,tfoot td{border-top:1px solid var(--ink);border-bottom:0;font-weight:640}
details{margin:1rem 0}
summary{cursor:pointer;color:var(--link);padding:.3rem 0}
pre{background:var(--sheet);border-radius:6px;padding:1rem 1.1rem;overflow-x:auto;line-height:1.5;overflow-wrap:normal}
.scroll{overflow-x:auto}
footer{margin-top:3rem;padding-top:1.2rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9rem}
`
