/**
 * What keeps the picture from being its best, why, and what the player can do: network, node, device, or the
 * player's own data cap. Pure.
 *
 * The node knows why it made the picture smaller, and is believed. What it cannot know, such as a screen that
 * takes fewer frames than arrive, is read from the page's own figures.
 */

import type { NetworkKind } from '../network';
import type { Limit } from '../wire/control';
import type { RtcFigures } from './rtc';

/** What was seen over the newest seconds. `undefined` means unmeasured, and accuses nobody. */
export interface Signs {
  /** Why the node makes the picture smaller or slower than it could be. */
  readonly limit: Limit | undefined;
  /** Between two frames as they are sent. */
  readonly interval_ms: number | undefined;
  /** Share of packets lost, 0..1. */
  readonly loss: number | undefined;
  readonly rtt_ms: number | undefined;
  /** Age of the usual frame beyond the youngest second of this play. */
  readonly queue_ms: number | undefined;
  /** Age of the late frames (p95) beyond the usual one (p50). */
  readonly unsteady_ms: number | undefined;
  /** Share of the time in which the picture stood, 0..1. */
  readonly frozen: number | undefined;
  /** Mean time that the browser decodes a frame. */
  readonly decode_ms: number | undefined;
  readonly fps_decoded: number | undefined;
  readonly fps_shown: number | undefined;
  /** Mean time that the title draws a frame… */
  readonly draw_ms: number | undefined;
  /** …and that its conversion or its encoding takes, whichever is longer: they work side by side. */
  readonly encode_ms: number | undefined;
  readonly transport: RtcFigures['transport'];
  readonly relayed: boolean | undefined;
  readonly network: NetworkKind;
}

export type Cause =
  | 'none'
  | 'cap'
  | 'decode'
  | 'display'
  | 'draw'
  | 'encode'
  | 'loss'
  | 'frozen'
  | 'queue'
  | 'unsteady'
  | 'distance'
  | 'capacity'
  | 'outage'
  | 'tcp'
  | 'relay';

export interface Verdict {
  readonly limit: Limit;
  readonly cause: Cause;
  /** What was found, such as `packets get lost on the way`: a part of a sentence. */
  readonly because: string;
  /** Limit and cause, such as `Network: packets get lost on the way.` */
  readonly sentence: string;
  /** What to do about it, one sentence; empty where nothing is to be done. */
  readonly advice: string;
}

/** Above this players see damage, or wait for what is sent again. */
export const HIGH_LOSS = 0.02;
/** Two to three frames that wait somewhere on the way: a hand feels them. */
export const QUEUE_MS = 40;
/** Late frames by this much are seen as stutter. */
export const UNSTEADY_MS = 40;
/** A picture that stands this share of the time is seen to stand. */
export const FROZEN = 0.05;
/** A node this far away is felt, however good the line. */
export const FAR_RTT_MS = 80;
/** A coder that takes this share of the interval between frames has no room left; what draws may take all of it. */
export const BUSY = 0.9;
/** Of the frames that arrive, a screen that keeps up shows at least this share… */
export const SHOWN = 0.75;
/** …and a screen that shows this many is quick enough for any title. */
export const QUICK_FPS = 50;

interface Rule {
  readonly cause: Cause;
  readonly limit: Limit;
  readonly holds: (signs: Signs) => boolean;
}

const above = (value: number | undefined, limit: number): boolean => value !== undefined && value >= limit;
const busy = (stage_ms: number | undefined, { interval_ms }: Signs): boolean =>
  stage_ms !== undefined && interval_ms !== undefined && stage_ms >= BUSY * interval_ms;
const late = (signs: Signs): boolean => above(signs.queue_ms, QUEUE_MS) || above(signs.unsteady_ms, UNSTEADY_MS);
const byTcp = ({ transport }: Signs): boolean => transport === 'tcp' || transport === 'tls';

/** First come the causes that have others of these for their effects: a slow decoder also makes frames wait. */
const RULES: readonly Rule[] = [
  { cause: 'decode', limit: 'device', holds: (signs) => busy(signs.decode_ms, signs) },
  { cause: 'encode', limit: 'node', holds: (signs) => busy(signs.encode_ms, signs) },
  { cause: 'draw', limit: 'node', holds: ({ draw_ms, interval_ms }) => interval_ms !== undefined && above(draw_ms, interval_ms) },
  { cause: 'tcp', limit: 'network', holds: (signs) => byTcp(signs) && (late(signs) || above(signs.frozen, FROZEN)) },
  { cause: 'loss', limit: 'network', holds: ({ loss }) => above(loss, HIGH_LOSS) },
  { cause: 'frozen', limit: 'network', holds: ({ frozen }) => above(frozen, FROZEN) },
  { cause: 'queue', limit: 'network', holds: ({ queue_ms }) => above(queue_ms, QUEUE_MS) },
  { cause: 'unsteady', limit: 'network', holds: ({ unsteady_ms }) => above(unsteady_ms, UNSTEADY_MS) },
  { cause: 'display', limit: 'device', holds: (signs) => skipsFrames(signs) },
  { cause: 'relay', limit: 'network', holds: ({ relayed, rtt_ms }) => relayed === true && above(rtt_ms, FAR_RTT_MS) },
  { cause: 'distance', limit: 'network', holds: ({ rtt_ms }) => above(rtt_ms, FAR_RTT_MS) },
];

function skipsFrames({ fps_shown, fps_decoded }: Signs): boolean {
  return fps_shown !== undefined && fps_decoded !== undefined && fps_shown < Math.min(QUICK_FPS, SHOWN * fps_decoded);
}

/** Where the node names a limit and nothing on this side says more. */
function general(limit: Limit, signs: Signs): Cause {
  switch (limit) {
    case 'none':
      return 'none';
    case 'data_cap':
      return 'cap';
    case 'node':
      return 'encode';
    case 'device':
      return 'decode';
    case 'network':
      return byTcp(signs) ? 'tcp' : signs.relayed === true ? 'relay' : 'capacity';
  }
}

export function verdict(signs: Signs): Verdict {
  const named = signs.limit === undefined || signs.limit === 'none' ? undefined : signs.limit;
  const rule = RULES.find(({ limit, holds }) => (named === undefined || limit === named) && holds(signs));
  const limit = named ?? rule?.limit ?? 'none';
  const cause = rule?.cause ?? general(limit, signs);
  return verdictOf(limit, cause, signs.network);
}

/** In words, for the network that the player is on. */
export function verdictOf(limit: Limit, cause: Cause, network: NetworkKind): Verdict {
  const words = wordsFor(cause, network);
  const sentence = limit === 'none' ? `${capital(words.because)}.` : `${NAMES[limit]}: ${words.because}.`;
  return { limit, cause, sentence, ...words };
}

type Words = Pick<Verdict, 'because' | 'advice'>;

const NAMES: Readonly<Record<Exclude<Limit, 'none'>, string>> = {
  network: 'Network',
  node: 'Machine',
  device: 'This device',
  data_cap: 'Data limit',
};

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Whether something is the limit that the player would want to be rid of: a data cap is the player's own wish. */
export function isTrouble({ limit }: Verdict): boolean {
  return limit !== 'none' && limit !== 'data_cap';
}

const MOBILE = 'Go where the signal is better, or use Wi-Fi.';
const SHARED = 'Pause downloads and other streams on this network, and see who else uses the line.';

function wordsFor(cause: Cause, network: NetworkKind): Words {
  switch (cause) {
    case 'loss':
      return { because: 'packets get lost on the way', advice: nearer(network) };
    case 'frozen':
      return { because: 'the picture stands still while packets do not come', advice: nearer(network) };
    case 'unsteady':
      return { because: 'packets come at uneven times', advice: nearer(network) };
    case 'queue':
      return { because: 'packets wait in a queue on the way', advice: network === 'mobile' ? MOBILE : SHARED };
    case 'capacity':
      return { because: 'the line carries no more', advice: network === 'mobile' ? MOBILE : SHARED };
    default:
      return WORDS[cause];
  }
}

/** What helps a radio link helps no cable. */
function nearer(network: NetworkKind): string {
  if (network === 'mobile') return MOBILE;
  if (network === 'cable') return 'Check cable and router, and pause downloads on this network.';
  return 'Move nearer to the Wi-Fi router, use its 5 GHz network, or use a cable.';
}

const WORDS: Readonly<Record<Exclude<Cause, 'loss' | 'frozen' | 'unsteady' | 'queue' | 'capacity'>, Words>> = {
  none: { because: 'nothing holds the picture back', advice: '' },
  cap: {
    because: 'the picture keeps within what you chose',
    advice: 'Raise the data limit in the settings when you want a sharper picture.',
  },
  decode: {
    because: 'this device decodes the picture too slowly',
    advice: 'Close other tabs and programs, turn battery saver off, and turn hardware acceleration on in the browser.',
  },
  display: {
    because: 'the screen shows fewer frames than arrive',
    advice: 'Turn battery saver off, and close other tabs and programs.',
  },
  draw: {
    because: 'the machine draws the game too slowly',
    advice: 'Lower the detail in the game’s own settings, or start again later: another machine may be freer.',
  },
  encode: {
    because: 'the machine is too busy to encode a better picture',
    advice: 'Start again later: another machine may be freer.',
  },
  outage: {
    because: 'the network went away for moments',
    advice: 'Stay on one network while you play, and near its router.',
  },
  distance: {
    because: 'the machine is far away by this network',
    advice: 'Close a VPN if you use one, or start again: a machine that is nearer may be free.',
  },
  tcp: {
    because: 'UDP is blocked here, and over TCP one lost packet holds up all that follow',
    advice: 'Leave the VPN or the company’s network, or let UDP through the firewall.',
  },
  relay: {
    because: 'the network allows no direct way, so the picture goes round by a relay',
    advice: 'Close a VPN if you use one, or let UDP through the firewall.',
  },
};

/** What the way of the packets costs, told even while it limits nothing; `undefined` for a direct way by UDP. */
export function pathNote({ transport, relayed }: Pick<RtcFigures, 'transport' | 'relayed'>): string | undefined {
  const cause = transport === 'tcp' || transport === 'tls' ? 'tcp' : relayed === true ? 'relay' : undefined;
  if (cause === undefined) return undefined;
  return `${capital(WORDS[cause].because)}.`;
}
