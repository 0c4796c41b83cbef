/** Versions at every door (`protocol/src/version.rs`). */

import { list, number, object, type Json } from './json';
import { WireError } from './bytes';

export interface VersionOffer {
  readonly min: number;
  readonly max: number;
  readonly features: readonly string[];
}

/** What this release speaks at any door that still has its first version. */
export const CURRENT: VersionOffer = { min: 1, max: 1, features: [] };

/** The doors of a peer connection, agreed in the first message of the control channel. */
export interface Versions {
  readonly control: VersionOffer;
  readonly input: VersionOffer;
  readonly facts: VersionOffer;
}

/** Feature of the control channel: this side knows frames that answer a session's challenge. */
export const CHALLENGE = 'challenge';

export const CURRENT_VERSIONS: Versions = { control: { ...CURRENT, features: [CHALLENGE] }, input: CURRENT, facts: CURRENT };

export function readVersions(json: Json): Versions {
  return { control: readOffer(json, 'control'), input: readOffer(json, 'input'), facts: readOffer(json, 'facts') };
}

function readOffer(json: Json, field: string): VersionOffer {
  const offer = object(json, field);
  const raw = offer['features'];
  const features = Array.isArray(raw) ? raw.filter((name): name is string => typeof name === 'string') : [];
  return { min: number(offer, 'min'), max: number(offer, 'max'), features };
}

/** The highest version both sides speak; `undefined` where there is none. */
export function agree(ours: VersionOffer, theirs: VersionOffer): number | undefined {
  const version = Math.min(ours.max, theirs.max);
  const inverted = ours.min > ours.max || theirs.min > theirs.max;
  return inverted || version < Math.max(ours.min, theirs.min) ? undefined : version;
}

/** Throws where a door of the node shares no version with this page. */
export function requireCommon(theirs: Versions): void {
  for (const door of ['control', 'input', 'facts'] as const) {
    if (agree(CURRENT, theirs[door]) === undefined) {
      throw new WireError(`page and node share no version of the ${door} channel`);
    }
  }
}

/** Servers for `RTCPeerConnection`, as the matchmaker sends them. */
export function readIceServers(json: Json, field: string): RTCIceServer[] {
  return list(json, field, (server) => {
    const urls = server['urls'];
    if (!Array.isArray(urls)) throw new WireError('urls must be a list');
    const { username, credential } = server;
    return {
      urls: urls.map(String),
      ...(typeof username === 'string' ? { username } : {}),
      ...(typeof credential === 'string' ? { credential } : {}),
    };
  });
}
