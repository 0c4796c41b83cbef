/**
 * Measures candidate nodes before there is a session: all at once, and no longer than the useful ones need.
 *
 * Invariant: nothing is left open, whatever happens, and a failure costs a guess, never the play.
 */

import { Scope } from '../scope';
import { Probe, type Candidate } from '../transport/probe';
import { asObject, flag, list, number, text, type Json } from '../wire/json';
import { CURRENT, readIceServers } from '../wire/version';

/** What goes back to the matchmaker: with `POST /v1/surveys/measured` or `POST /v1/sessions`. */
export interface Measured {
  readonly survey: string;
  readonly nodes: readonly { readonly node: string; readonly rtt_us: number }[];
}

/** Browsers count anew this often. */
const LOOK_MS = 25;
/** When one node is measured, the others get this much longer: whatever takes more is of no use. */
const BEYOND_MS = 150;
/** Nothing answers any more after this: a relay may still reach. */
const DIRECT_LIMIT_MS = 1_200;
const RELAY_LIMIT_MS = 3_000;
/** Outside addresses of several connections are told together. */
const TELL_AFTER_MS = 40;
const REQUEST_LIMIT_MS = 5_000;
const KEPT_AS = 'nearframe-measured';
/** What was measured is measured again after this: players change networks. */
const FRESH_MS = 3 * 60_000;

interface Survey {
  readonly survey: string;
  readonly expires_at_ms: number;
  readonly candidates: readonly Candidate[];
  readonly iceServers: readonly RTCIceServer[];
}

interface Kept extends Measured {
  readonly server: string;
  readonly network: string;
  readonly at_ms: number;
}

/** Under way already: two callers share it. */
let running: Promise<Measured | undefined> | undefined;

/**
 * Round trips to the nodes that the matchmaker names; `undefined` where there is nothing to choose between, or nothing
 * answered. What was measured lately in this tab is taken again.
 */
export async function measure(server: string): Promise<Measured | undefined> {
  const known = kept(server);
  if (known !== undefined) return known.nodes.length > 0 ? known : undefined;
  running ??= measureNow(server)
    .catch(() => undefined)
    .finally(() => {
      running = undefined;
    });
  return running;
}

async function measureNow(server: string): Promise<Measured | undefined> {
  if (typeof RTCPeerConnection !== 'function') return undefined;
  const survey = await ask(server);
  if (survey === undefined) return undefined;
  const keepNodes = (nodes: Measured['nodes']): Measured => {
    const measured = { survey: survey.survey, nodes };
    keep({ ...measured, server, network: network(), at_ms: Date.now() });
    return measured;
  };
  if (survey.candidates.length === 0) {
    // Nothing to choose between: so it will be for a while.
    keepNodes([]);
    return undefined;
  }
  const stun = survey.iceServers.filter((one) => [one.urls].flat().every((url) => url.startsWith('stun')));
  const needsOutside = survey.candidates.some(({ behind_nat }) => behind_nat);
  let nodes = await round(server, survey, { iceServers: needsOutside ? stun : [] }, DIRECT_LIMIT_MS);
  const relays = survey.iceServers.filter((one) => [one.urls].flat().some((url) => url.startsWith('turn')));
  if (nodes.length === 0 && relays.length > 0) {
    const configuration: RTCConfiguration = { iceServers: relays, iceTransportPolicy: 'relay' };
    nodes = await round(server, survey, configuration, RELAY_LIMIT_MS);
  }
  return nodes.length === 0 ? undefined : keepNodes(nodes);
}

async function ask(server: string): Promise<Survey | undefined> {
  const answer = await post(server, '/v1/surveys', { versions: CURRENT });
  if (!answer.ok) return undefined;
  const json = asObject(await answer.json(), 'the survey');
  return {
    survey: text(json, 'survey'),
    expires_at_ms: number(json, 'expires_at_ms'),
    candidates: list(json, 'candidates', readCandidate),
    iceServers: readIceServers(json, 'ice_servers'),
  };
}

function readCandidate(json: Json): Candidate {
  const addresses = json['addresses'];
  return {
    node: text(json, 'node'),
    addresses: Array.isArray(addresses) ? addresses.filter((one): one is string => typeof one === 'string') : [],
    ufrag: text(json, 'ufrag'),
    password: text(json, 'password'),
    behind_nat: flag(json, 'behind_nat'),
  };
}

function post(server: string, path: string, body: object): Promise<Response> {
  return fetch(new URL(path, server), {
    method: 'POST',
    credentials: 'include',
    signal: AbortSignal.timeout(REQUEST_LIMIT_MS),
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** All candidates at once, until the useful ones are measured. */
async function round(
  server: string,
  { survey, candidates }: Survey,
  configuration: RTCConfiguration,
  limit_ms: number,
): Promise<Measured['nodes']> {
  const scope = new Scope();
  try {
    const doorbell = new Doorbell(scope, server, survey);
    const probes = candidates.map(
      (candidate) => new Probe(scope, candidate, configuration, (address) => doorbell.ring(candidate.node, address)),
    );
    await Promise.all(probes.map((probe) => probe.start().catch(() => undefined)));
    await untilMeasured(probes, limit_ms);
    return probes.flatMap(({ candidate: { node }, rtt_ms }) =>
      rtt_ms === undefined ? [] : [{ node, rtt_us: Math.round(rtt_ms * 1000) }],
    );
  } finally {
    scope.close();
  }
}

async function untilMeasured(probes: readonly Probe[], limit_ms: number): Promise<void> {
  const end_ms = performance.now() + limit_ms;
  let stop_ms = end_ms;
  while (performance.now() < stop_ms && probes.some(({ done }) => !done)) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await Promise.allSettled(probes.filter(({ done }) => !done).map((probe) => probe.look()));
    if (stop_ms === end_ms && probes.some(({ done }) => done)) stop_ms = Math.min(end_ms, performance.now() + BEYOND_MS);
  }
}

/** Tells nodes behind a NAT where this page is seen from, so that they let it in. */
class Doorbell {
  readonly #rung = new Map<string, string>();
  #waiting = false;

  constructor(
    private readonly scope: Scope,
    private readonly server: string,
    private readonly survey: string,
  ) {}

  ring(node: string, address: string): void {
    if (this.#rung.has(node)) return;
    this.#rung.set(node, address);
    if (this.#waiting) return;
    this.#waiting = true;
    this.scope.timeout(TELL_AFTER_MS, () => {
      this.#waiting = false;
      const checks = [...this.#rung].map(([of, at]) => ({ node: of, address: at }));
      // A node that is not told does not answer, as one that is away.
      post(this.server, '/v1/surveys/checks', { survey: this.survey, checks }).catch(() => undefined);
    });
  }
}

/** What the browser tells of its network; another one is measured anew. */
function network(): string {
  const { connection } = navigator as { readonly connection?: { readonly type?: string; readonly effectiveType?: string } };
  return `${connection?.type ?? ''}/${connection?.effectiveType ?? ''}`;
}

function keep(measured: Kept): void {
  try {
    sessionStorage.setItem(KEPT_AS, JSON.stringify(measured));
  } catch {
    // A browser that keeps nothing measures again.
  }
}

function kept(server: string): Measured | undefined {
  try {
    const json = asObject(JSON.parse(sessionStorage.getItem(KEPT_AS) ?? ''), 'what was measured');
    const age_ms = Date.now() - number(json, 'at_ms');
    const fresh = age_ms >= 0 && age_ms < FRESH_MS && text(json, 'server') === server && text(json, 'network') === network();
    if (!fresh) return undefined;
    const nodes = list(json, 'nodes', (one) => ({ node: text(one, 'node'), rtt_us: number(one, 'rtt_us') }));
    return { survey: text(json, 'survey'), nodes };
  } catch {
    return undefined;
  }
}

/** What was measured holds no more, such as after the matchmaker did not know it. */
export function forgetMeasured(): void {
  try {
    sessionStorage.removeItem(KEPT_AS);
  } catch {
    // Nothing was kept.
  }
}
