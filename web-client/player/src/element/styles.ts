/**
 * The element's style sheet. Everything lies over a picture, so surfaces and text are dark-scheme in
 * every scheme; the page's tokens give accent, font, radius, and motion.
 */

const BASE = `
:host { display: block; position: relative; overflow: clip; background: #000; color: #f4f5f9;
  font: 400 1rem/1.45 var(--nf-font, system-ui, sans-serif); outline: none;
  --_panel: rgb(15 17 24 / .86); --_line: rgb(255 255 255 / .16); --_muted: #b4bccd;
  --_accent: var(--nf-accent, #ff9156); --_on-accent: var(--nf-on-accent, #1c0c03); --_danger: #ff8b92;
  --_r: var(--nf-radius-s, 12px); --_fast: var(--nf-fast, 160ms);
  --_t: env(safe-area-inset-top, 0px); --_b: env(safe-area-inset-bottom, 0px);
  --_l: env(safe-area-inset-left, 0px); --_e: env(safe-area-inset-right, 0px); }
:host([data-fill]) { position: fixed !important; inset: 0; width: 100% !important; height: 100% !important; z-index: 2147483000; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.stage, video { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage { touch-action: none; -webkit-user-select: none; user-select: none; -webkit-touch-callout: none; }
video { object-fit: contain; pointer-events: none; }
.stage[data-dim] video { opacity: .45; filter: saturate(.6); transition: opacity var(--_fast); }
button { font: inherit; color: inherit; min-width: 44px; min-height: 44px; border: 0; border-radius: var(--_r); background: none;
  cursor: pointer; display: inline-flex; align-items: center; justify-content: center; gap: .5rem; padding: 0 .75rem;
  touch-action: manipulation; -webkit-tap-highlight-color: transparent; }
button:hover { background: rgb(255 255 255 / .12); }
:focus-visible { outline: 3px solid #fff; outline-offset: 2px; }
svg { width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; flex: none; }
.primary { background: var(--_accent); color: var(--_on-accent); font-weight: 650; padding: 0 1.5rem; min-height: 52px; border-radius: 999px; }
.primary:hover { background: color-mix(in srgb, var(--_accent) 86%, white); }
.quiet { border: 1px solid var(--_line); border-radius: 999px; padding: 0 1.25rem; min-height: 52px; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

const CARDS = `
.cover { position: absolute; inset: 0; background: #0a0c11 center / cover no-repeat; }
.cover::after { content: ''; position: absolute; inset: 0; background: radial-gradient(120% 90% at 50% 45%, rgb(8 9 13 / .35), rgb(8 9 13 / .88)); }
.cover[data-soft] { filter: blur(22px) saturate(.8); transform: scale(1.12); }
.card { position: absolute; inset: 0; display: grid; place-content: safe center; justify-items: center; gap: 1rem; text-align: center;
  padding: calc(1.5rem + var(--_t)) calc(1.5rem + var(--_e)) calc(1.5rem + var(--_b)) calc(1.5rem + var(--_l)); overflow: auto; }
.card h2 { margin: 0; font-size: clamp(1.5rem, 1.1rem + 2vw, 2.4rem); line-height: 1.15; letter-spacing: -.01em; text-wrap: balance; max-width: 24ch; }
.card p { margin: 0; color: #d3d8e4; max-width: 46ch; text-wrap: pretty; }
.actions { display: flex; flex-wrap: wrap; gap: .75rem; justify-content: center; margin-top: .5rem; }
.big { width: 96px; height: 96px; border-radius: 50%; padding: 0; box-shadow: 0 12px 48px rgb(0 0 0 / .5); }
.big svg { width: 44px; height: 44px; fill: currentColor; stroke: none; }
.steps { list-style: none; margin: .25rem 0 0; padding: 0; display: grid; gap: .5rem; text-align: left; }
.steps li { display: flex; align-items: center; gap: .75rem; color: var(--_muted); }
.steps li::before { content: ''; width: 12px; height: 12px; border-radius: 50%; border: 2px solid currentColor; flex: none; }
.steps li[data-state=done] { color: #f4f5f9; }
.steps li[data-state=done]::before { background: currentColor; }
.steps li[data-state=now] { color: var(--_accent-text, #ffab7d); font-weight: 600; }
.steps li[data-state=now]::before { border-top-color: transparent; animation: spin 900ms linear infinite; }
.banner { position: absolute; left: 50%; bottom: calc(12% + var(--_b)); transform: translateX(-50%); width: max-content; max-width: calc(100% - 2rem);
  display: flex; align-items: center; gap: .75rem; padding: .75rem 1.25rem; border-radius: 999px; background: var(--_panel);
  border: 1px solid var(--_line); backdrop-filter: blur(12px); }
.banner::before { content: ''; width: 18px; height: 18px; border-radius: 50%; border: 3px solid #ffab7d; border-top-color: transparent; animation: spin 900ms linear infinite; flex: none; }
.chip { position: absolute; left: 50%; top: calc(1rem + var(--_t)); transform: translateX(-50%); background: var(--_panel); border: 1px solid var(--_line); border-radius: 999px; padding: 0 1rem 0 .75rem; backdrop-filter: blur(12px); }
.rotate { top: 50%; display: flex; align-items: center; gap: .5rem; padding: 0 .25rem 0 1rem; width: max-content; max-width: calc(100% - 2rem); }
@media not ((orientation: portrait) and (pointer: coarse)) { .rotate { display: none !important; } }
/* Held upright, the picture goes to the top and leaves the thumbs their place. */
@media (orientation: portrait) and (pointer: coarse) {
  video { inset: calc(60px + var(--_t)) 0 auto 0; height: auto; }
  .banner { bottom: auto; top: 42%; }
}
@keyframes spin { to { transform: rotate(1turn); } }
`;

const BAR = `
.bar { position: absolute; inset: 0 0 auto 0; display: flex; align-items: center; gap: .25rem; flex-wrap: wrap;
  padding: calc(.5rem + var(--_t)) calc(.75rem + var(--_e)) .5rem calc(.75rem + var(--_l));
  background: linear-gradient(rgb(5 6 9 / .88), rgb(5 6 9 / .6) 70%, transparent); transition: transform var(--_fast), opacity var(--_fast); }
.bar[data-away] { transform: translateY(-100%); opacity: 0; visibility: hidden; transition: transform var(--_fast), opacity var(--_fast), visibility 0s linear var(--_fast); }
.bar .name { flex: 1; min-width: 4rem; padding: 0 .5rem; font-weight: 600; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.bar .hint { color: var(--_muted); font-size: .8125rem; padding: 0 .5rem; }
.bar kbd { font: 600 .75rem/1 var(--nf-font-mono, ui-monospace, monospace); border: 1px solid var(--_line); border-radius: 6px; padding: .15rem .35rem; }
.bar input { width: 96px; height: 44px; accent-color: var(--_accent); cursor: pointer; }
.bar [aria-pressed=true], .bar [aria-expanded=true] { background: rgb(255 255 255 / .18); }
.bar [data-live] { background: var(--_danger); color: #1c0306; }
.bar [data-welcome] { color: var(--_accent-text, #ffab7d); box-shadow: inset 0 0 0 2px currentColor; }
.handle { position: absolute; top: calc(.25rem + var(--_t)); left: 50%; margin-left: -26px; width: 52px; background: rgb(15 17 24 / .45); opacity: .7; border-radius: 999px; }
@media (pointer: coarse) { .bar .hint, .bar input { display: none; } }
@media not (pointer: coarse) { .handle { display: none; } }
/* A phone held upright has no room for a name. */
@media (max-width: 30rem) { .bar { justify-content: space-between; gap: 0; } .bar .name, .bar .hint { display: none; } .bar button { padding: 0; } }
`;

const PANELS = `
.settings { position: absolute; right: calc(.75rem + var(--_e)); top: calc(4.25rem + var(--_t)); width: min(24rem, calc(100% - 1.5rem)); max-height: calc(100% - 5.25rem); overflow: auto;
  padding: .75rem 1rem 1rem; border-radius: var(--_r); background: var(--_panel); border: 1px solid var(--_line); backdrop-filter: blur(18px); }
.settings header { display: flex; align-items: center; justify-content: space-between; margin: -.25rem -.5rem .25rem 0; }
.settings h2 { margin: 0; font-size: 1.0625rem; }
.settings .row { display: flex; align-items: center; justify-content: space-between; gap: 1rem; min-height: 48px; }
.settings label { flex: 1 1 auto; }
.settings select, .settings input { font: inherit; color: inherit; accent-color: var(--_accent); height: 44px; max-width: 55%; }
.settings select { background: rgb(255 255 255 / .08); border: 1px solid #8b94a8; border-radius: 10px; padding: 0 .5rem; min-width: 0; }
.settings option { background: #1b1f2a; color: #f4f5f9; }
.settings .about { margin: .25rem 0 .5rem; color: var(--_muted); font-size: .8125rem; text-wrap: pretty; }
.settings input[type=checkbox] { width: 24px; height: 24px; margin: 10px; }
.toast { position: absolute; left: 50%; top: calc(4.25rem + var(--_t)); transform: translateX(-50%); display: flex; align-items: center; gap: .5rem;
  width: max-content; max-width: min(34rem, calc(100% - 1.5rem)); padding: .25rem .5rem .25rem 1.125rem; min-height: 52px; border-radius: 26px; background: var(--_panel); border: 1px solid var(--_line); backdrop-filter: blur(12px); }
.toast span { padding: .375rem 0; text-wrap: pretty; }
.toast span:last-child { padding-right: .625rem; }
.toast button { border-radius: 999px; flex: none; }
.toast .act { background: var(--_accent); color: var(--_on-accent); font-weight: 650; }
/* Over the picture's lower edge, where browsers scroll a focused field into view; never seen. */
.text-entry { position: absolute; left: 50%; bottom: 0; width: 1px; height: 1px; padding: 0; border: 0; opacity: 0; resize: none; outline: none; pointer-events: none; font-size: 16px; }
`;

const TOUCH = `
.pad { position: absolute; inset: 0; pointer-events: none; }
.pad .zone { position: absolute; left: 0; bottom: 0; width: 46%; height: 62%; pointer-events: auto; touch-action: none; }
.pad .ring { position: absolute; width: 132px; height: 132px; margin: -66px; border-radius: 50%; border: 2px solid rgb(255 255 255 / .35); background: rgb(15 17 24 / .28); pointer-events: none; }
.pad .knob { position: absolute; left: 50%; top: 50%; width: 60px; height: 60px; margin: -30px; border-radius: 50%; background: rgb(255 255 255 / .55); }
.pad .key { position: absolute; width: 76px; height: 76px; margin: -38px; padding: 0; border-radius: 50%; border: 2px solid rgb(255 255 255 / .45); background: rgb(15 17 24 / .38);
  font-weight: 700; font-size: .8125rem; letter-spacing: .03em; pointer-events: auto; touch-action: none; }
.pad { opacity: calc(.3 + .7 * var(--_touch-opacity, .7)); }
.pad .key[data-down] { background: var(--_accent); color: var(--_on-accent); border-color: transparent; }
`;

const LAYOUT = `
.layout { position: absolute; inset: 0; pointer-events: none; container-type: size; }
.surface { position: absolute; inset: 0; opacity: var(--_touch-opacity, .7); pointer-events: none; touch-action: none; }
.control { position: absolute; box-sizing: border-box; width: var(--_size); height: var(--_size); margin: calc(var(--_size) / -2); border-radius: 50%; display: grid; place-items: center;
  left: clamp(calc(var(--_size) / 2 + 4px + var(--_l)), var(--_x), calc(100% - var(--_size) / 2 - 4px - var(--_e)));
  top: clamp(calc(var(--_size) / 2 + 4px + var(--_t)), var(--_y), calc(100% - var(--_size) / 2 - 4px - var(--_b)));
  pointer-events: auto; touch-action: none; color: #fff; font-weight: 700; letter-spacing: .02em; text-align: center; text-shadow: 0 1px 3px rgb(0 0 0 / .7);
  font-size: clamp(.625rem, calc(var(--_size) * .24), 1.5rem); }
.control span { padding: 0 .2em; line-height: 1.05; overflow-wrap: anywhere; pointer-events: none; }
.control [data-long] { font-size: .74em; letter-spacing: 0; }
.button, .stick { border: 2px solid rgb(255 255 255 / .62); background: radial-gradient(circle at 50% 32%, rgb(70 78 98 / .62), rgb(14 16 22 / .62)); box-shadow: 0 3px 14px rgb(0 0 0 / .38), inset 0 1px 0 rgb(255 255 255 / .16); }
.button { transition: transform 60ms ease-out; }
.button[data-down] { background: var(--_accent); border-color: #fff; color: var(--_on-accent); text-shadow: none; transform: scale(.93); box-shadow: 0 0 0 6px rgb(255 255 255 / .18); }
.stick { background: radial-gradient(circle, rgb(14 16 22 / .5) 45%, rgb(70 78 98 / .42)); }
.stick .knob { position: absolute; width: 46%; height: 46%; border-radius: 50%; border: 2px solid rgb(255 255 255 / .8); background: radial-gradient(circle at 50% 30%, #fff, #c6ccd9); box-shadow: 0 4px 12px rgb(0 0 0 / .45); opacity: .82; pointer-events: none; }
.stick span { position: absolute; bottom: 8%; font-size: .6em; opacity: .85; }
.stick[data-down] .knob { background: var(--_accent); opacity: 1; }
.dpad i { position: absolute; width: 35%; height: 35%; background: rgb(14 16 22 / .66); border: 2px solid rgb(255 255 255 / .62); box-sizing: border-box; display: grid; place-items: center; pointer-events: none; }
.dpad i::before { content: ''; border: calc(var(--_size) * .055) solid transparent; border-bottom-color: rgb(255 255 255 / .85); border-top: 0; }
.dpad [data-arm=u] { top: 0; border-radius: 22% 22% 0 0; border-bottom: 0; }
.dpad [data-arm=d] { bottom: 0; border-radius: 0 0 22% 22%; border-top: 0; }
.dpad [data-arm=l] { left: 0; border-radius: 22% 0 0 22%; border-right: 0; }
.dpad [data-arm=r] { right: 0; border-radius: 0 22% 22% 0; border-left: 0; }
.dpad [data-arm=d]::before { transform: rotate(180deg); }
.dpad [data-arm=l]::before { transform: rotate(-90deg); }
.dpad [data-arm=r]::before { transform: rotate(90deg); }
.dpad::before { content: ''; position: absolute; inset: 32.5%; background: rgb(14 16 22 / .66); pointer-events: none; }
.dpad[data-held*=u] [data-arm=u], .dpad[data-held*=d] [data-arm=d], .dpad[data-held*=l] [data-arm=l], .dpad[data-held*=r] [data-arm=r] { background: var(--_accent); }
.dpad span { position: relative; font-size: .55em; }
.look { border-radius: 18%; border: 1.5px dashed rgb(255 255 255 / .26); }
.look span { opacity: .55; font-size: clamp(.6875rem, .9em, .875rem); }
.look[data-down] { border-color: rgb(255 255 255 / .5); background: rgb(255 255 255 / .04); }
.switch { position: absolute; top: calc(.375rem + var(--_t)); right: calc(.5rem + var(--_e)); display: flex; gap: 2px; padding: 2px; max-width: calc(50% - 2.5rem); overflow-x: auto; scrollbar-width: none;
  border-radius: 999px; background: rgb(15 17 24 / .6); border: 1px solid var(--_line); pointer-events: auto; backdrop-filter: blur(8px); }
/* The menu lies where these are. */
.layout:has(~ .bar:not([data-away], [hidden])) .switch, .handle:has(~ .bar:not([data-away])) { visibility: hidden; }
.switch button { padding: 0 .75rem; border-radius: 999px; font-size: .8125rem; font-weight: 620; white-space: nowrap; color: #d3d8e4; }
.switch [aria-checked=true] { background: rgb(255 255 255 / .92); color: #14161d; }
`;

const MOTION = `
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation-duration: 2.4s !important; transition-duration: 1ms !important; }
}
`;

const STYLES = BASE + CARDS + BAR + PANELS + TOUCH + LAYOUT + MOTION;

const SHEETS = new Map<string, CSSStyleSheet>();

/** Once for each text. Adopted sheets escape the page's style policy; without them a style element does. */
export function applyStyles(root: ShadowRoot, css = STYLES): void {
  if ('adoptedStyleSheets' in root && 'replaceSync' in CSSStyleSheet.prototype) {
    const sheet = SHEETS.get(css) ?? new CSSStyleSheet();
    if (root.adoptedStyleSheets.includes(sheet)) return;
    if (!SHEETS.has(css)) sheet.replaceSync(css);
    SHEETS.set(css, sheet);
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    return;
  }
  const styles = [...(root as DocumentFragment).querySelectorAll('style')];
  if (styles.some(({ textContent }) => textContent === css)) return;
  const style = document.createElement('style');
  style.textContent = css;
  (root as DocumentFragment).append(style);
}
