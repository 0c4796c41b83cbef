/**
 * `@nearframe/player`: the `<near-frame>` element and its types. Importing it defines the element.
 *
 * Framework-free; deliberately without pages, catalogue or accounts: those are the embedding page's.
 */

import { NearFrame } from './element/near-frame';

if (!customElements.get('near-frame')) customElements.define('near-frame', NearFrame);

export { measure } from './measure/measure';
export { keptSessions } from './session/kept';
export { NearFrame };
export type { TouchControls } from './element/touch-pad';
export type { TouchControl, TouchLayout } from './input/touch-layouts';
export type { Measured } from './measure/measure';
export type { Problem } from './session/problem';
export type { KeptSession } from './session/kept';
export type { StartStep, View } from './session/view';
export type { StageTrace } from './stats/frames';
export type { QualityReport, Stretch } from './stats/report';
export type { RtcFigures } from './stats/rtc';
export type { DebugLog, PlayerStats } from './stats/snapshot';
export type { Cause, Verdict } from './stats/verdict';
export type { Quantiles } from './stats/window';
export type { Limit, Quality, SessionFacts, TitleKind } from './wire/control';
