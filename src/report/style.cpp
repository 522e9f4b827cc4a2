#include "report/style.h"

namespace rehyat::report {

// The colours of the series keep apart in the common kinds of colour blindness, on either background.
std::string_view style_sheet() {
  return R"css(
:root { color-scheme: light dark; --bg: #fff; --panel: #f5f6f8; --text: #1b1f24; --soft: #59616b; --rule: #d9dde2;
  --link: #0b5cad; --good: #00694b; --bad: #b03a00; --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #c0629a;
  --s4: #b57f00; --s5: #3f9fd6; --s6: #555; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171b; --panel: #1d2127; --text: #e6e9ec; --soft: #a3abb5;
  --rule: #363c44; --link: #7fbcf5; --good: #4fd0a5; --bad: #ff9a62; --s0: #56b4e9; --s1: #f28140; --s2: #2fc295;
  --s3: #e6a0c8; --s4: #f0c04a; --s5: #8fa7ff; --s6: #b8bec6; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--bg); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 1080px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 28px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; }
h2 { font-size: 1.3rem; margin: 44px 0 0; }
h3 { font-size: 1rem; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 4px 0 12px; max-width: 80ch; }
a { color: var(--link); }
.subtitle { font-size: 1.1rem; margin-bottom: 4px; }
.note, .facts, small { color: var(--soft); }
.note, .facts { font-size: .94rem; }
.verdict { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; padding: 0; list-style: none; }
.verdict li { background: var(--panel); border-radius: 8px; padding: 8px 14px; }
.verdict b { font-size: 1.35rem; margin-right: 6px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 10px 0; border-bottom: 1px solid var(--rule); }
.passed { color: var(--good); } .missed { color: var(--bad); } .info { color: var(--soft); }
.state { font-weight: 600; white-space: nowrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td { overflow-wrap: break-word; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.n { white-space: normal; }
.best { font-weight: 700; }
.meter { width: 30%; min-width: 90px; }
.meter svg { display: block; width: 100%; height: 12px; margin-top: 6px; background: var(--panel); }
tfoot td { font-weight: 600; border-bottom: 0; }
figure { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.chart { background: var(--panel); border-radius: 10px; padding: 12px; margin-bottom: 12px; min-width: 0; }
.charts .chart { margin: 0; }
.chart svg { display: block; width: 100%; height: auto; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .92rem; margin-bottom: 6px; }
.chart figcaption b { flex-basis: 100%; }
.chart .key { overflow-wrap: anywhere; }
.chart .key svg { display: inline-block; width: 18px; height: 12px; margin-right: 6px; }
section > .chart:not(.wide) { max-width: 600px; }
.wide .scroll svg { min-width: 760px; }
svg text { font-size: 13px; fill: var(--soft); font-family: inherit; }
.grid { stroke: var(--rule); } .axis { stroke: var(--soft); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .hover { fill: transparent; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s-over { --c: var(--bad); }
.line { stroke: var(--c); } .dot { fill: var(--c); }
.comparison { background: var(--panel); border-radius: 10px; padding: 14px; margin-bottom: 16px; }
.clips { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 256px)); gap: 6px 14px;
  margin-top: 10px; }
.clip { min-width: 0; display: grid; grid-template-rows: subgrid; grid-row: span 3; align-content: start; }
.clip figcaption { font-size: .92rem; font-weight: 600; overflow-wrap: anywhere; align-self: end; }
.clip video { display: block; width: 100%; border-radius: 6px; background: #000; }
.clip video, .clip img { image-rendering: pixelated; }
.strip { display: flex; flex-wrap: wrap; gap: 2px; max-height: 260px; overflow-y: auto;
  align-content: start; }
.strip img { flex: none; width: calc(20% - 2px); height: auto; display: block; }
.large { grid-row: 2 / 4; max-height: none; } .large img { width: calc(33% - 2px); }
pre { background: var(--panel); border-radius: 10px; padding: 12px; overflow-x: auto; margin: 8px 0;
  font: .88rem/1.5 ui-monospace, monospace; }
summary { cursor: pointer; color: var(--link); padding: 4px 0; }
@media (max-width: 600px) { h1 { font-size: 1.5rem; } .clips { grid-template-columns: 1fr 1fr; }
  .chart:not(.wide) svg text { font-size: 17px; } td { min-width: 6em; } td.n { min-width: 0; }
  .wide svg text { font-size: 16px; }
  .stacked thead { display: none; } .stacked, .stacked tbody, .stacked tr, .stacked td { display: block; }
  .stacked tr { border-bottom: 1px solid var(--rule); padding: 8px 0; } .stacked .first { font-weight: 600; }
  .stacked td { border: 0; padding: 1px 0; overflow-wrap: anywhere; text-align: left; }
  .stacked td[data-name]::before { content: attr(data-name) ": "; color: var(--soft); font-weight: 400; }
  td.meter, th.meter { display: none; } }
main { padding-bottom: 40px; }
@media print { nav { display: none; } .chart, .comparison, tr { break-inside: avoid; } }
)css";
}

}  // namespace rehyat::report
