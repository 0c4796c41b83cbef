/** The styles of what `quality.ts` shows; they come with it. */

export const QUALITY_STYLES = `
.stats { position: absolute; top: calc(4.25rem + var(--_t)); left: calc(.75rem + var(--_l)); width: min(25rem, calc(100% - 1.5rem)); max-height: calc(100% - 5.5rem); overflow: auto;
  padding: .75rem .875rem; border-radius: var(--_r); background: var(--_panel); border: 1px solid var(--_line); font-size: .8125rem; line-height: 1.4; pointer-events: none; }
.stats dl { display: grid; grid-template-columns: auto 1fr; gap: .125rem .75rem; margin: 0; }
.stats dt { color: var(--_muted); }
.stats dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; text-wrap: balance; }
.stats dd[data-unmeasured] { color: var(--_muted); font-style: italic; }
.stats canvas { display: block; width: 100%; height: 36px; margin: .25rem 0 .5rem; }
.stats p { margin: 0; text-wrap: pretty; }
.stats .now { font-weight: 650; font-variant-numeric: tabular-nums; }
.stats .verdict { margin-bottom: .5rem; padding-bottom: .5rem; border-bottom: 1px solid var(--_line); }
.stats .note { color: var(--_muted); margin: .375rem 0; }
.stats .note:empty { display: none; }
.verdict p { display: flex; gap: .5rem; }
.verdict svg { width: 1.25em; height: 1.25em; margin-top: .1em; }
.verdict [data-limit]:not([data-limit=none]) { color: #f5c95b; }
.sign { position: absolute; left: calc(.75rem + var(--_l)); top: calc(.75rem + var(--_t)); padding: 6px; border-radius: 999px; background: rgb(15 17 24 / .6); color: #f5c95b; line-height: 0; pointer-events: none; }
.sign svg { width: 20px; height: 20px; }
.sign:has(~ .bar:not([data-away], [hidden])) { visibility: hidden; }
.bar [data-limited] { color: #f5c95b; }
.report { width: min(38rem, 100%); display: grid; gap: .875rem; padding: 1rem 1.25rem; border-radius: var(--_r); background: var(--_panel); border: 1px solid var(--_line); text-align: left; font-size: .9375rem; }
.report dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .625rem 1.25rem; margin: 0; }
.report dt { color: var(--_muted); font-size: .8125rem; }
.report dd small { display: block; color: #d3d8e4; font-weight: 400; font-size: .8125rem; }
.report dd { margin: 0; font-weight: 640; font-variant-numeric: tabular-nums; }
.report figure { margin: 0; }
.report figure svg { display: block; width: 100%; height: 48px; border-bottom: 1px solid var(--_line); }
.report figure path { stroke: #ffab7d; stroke-width: 1.5; }
.report rect { stroke: none; }
.report rect.reduced { fill: rgb(245 201 91 / .28); }
.report rect.stalled { fill: rgb(255 139 146 / .55); }
.report figcaption { display: flex; flex-wrap: wrap; gap: .125rem 1rem; margin-top: .25rem; color: var(--_muted); font-size: .8125rem; }
.report figcaption span::before { content: ''; display: inline-block; width: 12px; height: 3px; margin-right: .375rem; vertical-align: middle; background: #ffab7d; }
.report figcaption .reduced::before { height: 10px; background: rgb(245 201 91 / .6); }
.report figcaption .stalled::before { height: 10px; background: #ff8b92; }
@media (max-height: 34rem) { .report { order: 1; } }
.report .verdict p { max-width: none; color: inherit; }
.report .verdict p + p { color: #d3d8e4; }
.report .verdict [data-limit]:not([data-limit=none]) { color: #f5c95b; font-weight: 600; }
`;
