/**
 * A stand-in for the matchmaker's API, for looking at the pages without one (`npm run dev:mock`) and for the
 * browser checks. It proves only the pages' side. The cookie `mock` chooses what it plays: `empty`, `error`,
 * `slow`, `pending` (a session is asked for and never given), `guest` (not signed in),
 * `operator` (signed in as operator as well), `host` (a member of a host's account), `newcomer` (comes from a provider for the first time); anything else is a busy day.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Plugin } from 'vite';
import type { components } from '../src/api/generated';
import { SAVES, SESSIONS, TITLES, receipts } from './mock-data.ts';
import {
  ACCOUNT,
  CHARGES,
  CREATED_KEY,
  DELIVERIES,
  KEYS,
  LINK,
  ME,
  MEMBERS,
  OWN_WAYS,
  PLANS,
  SUBSCRIPTION,
  TRAIL,
  WAYS,
  WEBHOOKS,
  WEBHOOK_SECRET,
  choice,
} from './mock-accounts.ts';
import {
  PAYOUTS,
  PAY_TO,
  PRICES,
  QUOTE,
  RESERVATIONS,
  bill,
  budgets,
  byNode,
  bySession,
  byTitle,
  byWork,
  earnings,
  priceIndex,
  proof,
  series,
  spanOf,
} from './mock-money.ts';
import { HOST_MACHINES, NODES } from './mock-machines.ts';
import { EMPTY_FLEET, FLEET_VIEW, OUTLOOK, PLACEMENT } from './mock-fleet.ts';
import { APPEALS, CASES, CHECKS, DISPUTES, STAKES } from './mock-trust.ts';

type Schemas = components['schemas'];

/** The matchmaker's own headers, so that a page that breaks its policy breaks here too. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
} as const;

const SLOW_MS = 60_000;

/** Answers `/v1/*` in `vite dev` and `vite preview`. */
export function mockApi(): Plugin {
  const answer = (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const url = new URL(request.url ?? '/', 'http://mock');
    if (!url.pathname.startsWith('/v1/')) next();
    else handle(request, url, response);
  };
  return {
    name: 'mock-api',
    // The dev server's own client needs inline scripts; only the built pages can keep the policy.
    configureServer: (server) => void server.middlewares.use(answer),
    configurePreviewServer: (server) => {
      server.middlewares.use((_request, response, next) => {
        for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
        next();
      });
      server.middlewares.use(answer);
    },
  };
}

function handle(request: IncomingMessage, { pathname: path, searchParams: query }: URL, response: ServerResponse): void {
  const mode = /(?:^|; )mock=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
  const cover = /^\/v1\/titles\/([\w-]+)\/cover$/.exec(path)?.[1];
  if (cover !== undefined) {
    void sendCover(cover, response);
  } else if (mode === 'slow' || (mode === 'pending' && request.method === 'POST')) {
    const timer = setTimeout(() => response.end(), SLOW_MS);
    response.on('close', () => clearTimeout(timer));
  } else if (mode === 'error') {
    send(response, problem(503, 'unavailable', 'The matchmaker is restarting', 'Wait a few seconds and try again.'));
  } else {
    send(response, money(request.method ?? 'GET', path, query, mode) ?? route(request.method ?? 'GET', path, mode));
  }
}

/** What is sent back: a status and a body. */
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** The doors of bills and earnings, for members and operators. */
function money(method: string, path: string, query: URLSearchParams, mode: string): Answer | undefined {
  const answer = moneyBody(method, path.split('/').slice(2), query, mode);
  if (answer !== undefined && mode === 'guest') {
    return problem(401, 'sign_in_needed', 'Operators only', 'Open the link that the server printed.');
  }
  return answer === undefined ? undefined : { status: 200, body: answer };
}

function moneyBody(method: string, [kind, id = '', part = '']: readonly string[], query: URLSearchParams, mode: string): unknown {
  const empty = mode === 'empty';
  const rows = (items: readonly unknown[]): unknown => ({ items: empty ? [] : items });
  // A host sees its own machines alone.
  const span = spanOf(query, mode === 'host' ? HOST_MACHINES.map((one) => one.id) : undefined);
  switch (`${method} ${kind ?? ''}/${kind === 'usage' ? id : part}`) {
    case 'GET usage/series': {
      const all = series(span, Number(query.get('step_s') ?? 3600));
      return empty ? { ...all, items: [] } : all;
    }
    case 'GET usage/titles':
      return rows(byTitle(span));
    case 'GET usage/nodes':
      return rows(byNode(span));
    case 'GET usage/work':
      return rows(byWork(span));
    case 'GET usage/sessions':
      return empty ? { items: [] } : bySession(span, query.get('cursor'));
    case 'GET reservations/':
      return rows(RESERVATIONS);
    case 'POST quotes/':
      return QUOTE;
    case 'POST reservations/':
    case 'DELETE reservations/':
      return RESERVATIONS[0];
    case 'GET sessions/bill':
      return bill(id);
    case 'GET prices/':
      if (id === 'index') return empty ? { ...priceIndex(), prices: [] } : priceIndex();
      return PRICES;
    case 'GET budgets/':
      return rows(budgets());
    case 'PUT budgets/':
      return budgets()[0];
    case 'GET earnings/':
      return empty ? { nodes: [], held: [], now_ms: Date.now() } : earnings(span.nodes);
    case 'GET cases/':
      return rows(CASES);
    case 'GET disputes/':
      return rows(DISPUTES);
    case 'GET sessions/disputes':
      return rows(DISPUTES.filter((one) => one.session === id));
    case 'GET nodes/checks':
      return rows(CHECKS);
    case 'GET appeals/':
      return rows(APPEALS);
    case 'POST cases/appeal':
      return APPEALS[0];
    case 'POST cases/decision':
      return CASES[0];
    case 'POST disputes/decision':
    case 'POST sessions/disputes':
      return DISPUTES[0];
    case 'GET nodes/earnings':
      return proof(id);
    default:
      return undefined;
  }
}

function route(method: string, path: string, mode: string): Answer {
  const empty = mode === 'empty';
  const [, , kind = '', id, part, , deeper] = path.split('/');
  const call = `${method} ${kind}${id === undefined ? '' : '/:id'}${part === undefined ? '' : `/${part}`}`;
  switch (call) {
    case 'GET titles':
      return page(empty ? [] : TITLES);
    case 'GET titles/:id':
      return one(TITLES.find((title) => title.id === id));
    case 'GET sessions':
      return page(empty ? [] : SESSIONS);
    case 'GET sessions/:id':
      return one(SESSIONS.find((session) => session.id === id));
    case 'GET sessions/:id/receipts':
      return page(empty ? [] : receipts(id ?? ''));
    case 'DELETE sessions/:id':
      return one(SESSIONS.find((session) => session.id === id));
    case 'GET saves':
      return page(empty ? [] : SAVES);
    case 'DELETE saves/:id':
      return { status: 204, body: undefined };
    case 'GET nodes':
      return page(empty ? [] : NODES);
    case 'GET outlook':
    case 'POST surveys/:id':
      return { status: 200, body: OUTLOOK };
    case 'POST surveys':
      return { status: 200, body: { version: 1, survey: 's', expires_at_ms: Date.now() + 60_000, candidates: [], ice_servers: [] } };
    case 'GET sessions/:id/placement':
      return { status: 200, body: PLACEMENT };
    case 'GET fleet':
      if (mode === 'guest') return problem(401, 'sign_in_needed', 'Operators only', 'Open the link that the server printed.');
      return { status: 200, body: empty ? EMPTY_FLEET : FLEET_VIEW };
    case 'PUT nodes/:id/ban':
    case 'PUT nodes/:id/drain':
    case 'DELETE nodes/:id/ban':
    case 'DELETE nodes/:id/drain':
      return { status: 204, body: undefined };
    case 'GET me':
      return { status: 200, body: whoIs(mode) };
    case 'GET me/:id':
      return { status: 200, body: empty ? { identities: [], passkeys: [] } : OWN_WAYS };
    case 'GET sign-in':
      return { status: 200, body: empty ? { ...WAYS, providers: [] } : WAYS };
    case 'GET sign-in/:id':
      return { status: 200, body: choice(mode === 'newcomer') };
    case 'GET accounts/:id/holdings':
      return { status: 200, body: { titles: [], nodes: empty ? [] : HOST_MACHINES.map((node) => node.id) } };
    case 'POST sign-in':
      return { status: 200, body: ME };
    case 'DELETE sign-in':
      return { status: 204, body: undefined };
    case 'GET accounts':
      if (mode === 'guest') return problem(401, 'sign_in_needed', 'Operators only', 'Open the link that the server printed.');
      return page(empty ? [] : [ACCOUNT]);
    case 'POST accounts':
    case 'PUT accounts/:id/allowance':
      return { status: 200, body: ACCOUNT };
    case 'GET accounts/:id/members':
      return page(MEMBERS);
    case 'GET payouts':
      return page(empty ? [] : PAYOUTS);
    case 'GET accounts/:id/destination':
      return page(empty ? [] : [{ pay_to: PAY_TO }]);
    case 'GET accounts/:id/stake':
      return page(empty ? [] : STAKES);
    case 'POST accounts/:id/stake':
      return { status: 200, body: STAKES[0] };
    case 'GET plans':
      return page(empty ? [] : PLANS);
    case 'GET accounts/:id/subscription':
      return empty ? problem(404, 'not_found', 'Not found', 'The account has no subscription.') : { status: 200, body: SUBSCRIPTION };
    case 'GET accounts/:id/charges':
      return { status: 200, body: empty ? { charges: [], covered: [] } : CHARGES };
    case 'PUT accounts/:id/subscription':
    case 'DELETE accounts/:id/subscription':
      return { status: 200, body: SUBSCRIPTION };
    case 'GET accounts/:id/keys':
      return page(empty ? [] : KEYS);
    case 'POST accounts/:id/keys':
      return { status: 201, body: CREATED_KEY };
    case 'GET accounts/:id/webhooks':
      return page(empty ? [] : deeper === 'deliveries' ? DELIVERIES : WEBHOOKS);
    case 'POST accounts/:id/webhooks':
      if (deeper === 'test' || deeper === 'deliveries') return { status: 202, body: { event: DELIVERIES[0]?.event } };
      return { status: 201, body: WEBHOOK_SECRET };
    case 'PUT accounts/:id/webhooks':
      return { status: 200, body: WEBHOOKS[0] };
    case 'DELETE accounts/:id/webhooks':
    case 'DELETE accounts/:id/keys':
    case 'DELETE accounts/:id/members':
      return { status: 204, body: undefined };
    case 'POST accounts/:id/invitations':
      return { status: 201, body: LINK };
    case 'GET audit':
      return page(empty ? [] : TRAIL);
    case 'POST enrolments':
      return mode === 'guest'
        ? problem(403, 'forbidden', 'Operators only', 'Open the link that the server printed.')
        : { status: 201, body: enrolment() };
    case 'POST sessions':
      return problem(503, 'no_capacity', 'Every seat is taken', 'Try again in a minute.');
    default:
      return problem(404, 'not_found', 'There is nothing here', 'Check the address.');
  }
}

/** Who the browser is. */
function whoIs(mode: string): Schemas['Me'] {
  const nothing = { ...ACCOUNT.allowance, committed: { amount: '0.000000', currency: 'EUR' } };
  switch (mode) {
    case 'guest':
      return {};
    case 'operator':
      return { ...ME, operator: 'owner' };
    case 'host':
      return { ...ME, account: { ...ACCOUNT, kind: 'host', name: 'Vera’s attic', allowance: nothing } };
    case 'empty':
      return { ...ME, account: { ...ACCOUNT, allowance: nothing } };
    default:
      return ME;
  }
}

/** The covers that the repository's own titles ship. */
async function sendCover(id: string, response: ServerResponse): Promise<void> {
  try {
    const picture = await readFile(new URL(`../../../titles/${id}/cover.png`, import.meta.url));
    response.setHeader('Content-Type', 'image/png');
    response.end(picture);
  } catch {
    send(response, problem(404, 'not_found', 'No such picture', 'The title ships no cover.'));
  }
}

function enrolment(): Schemas['Enrolment'] {
  const code = 'k7w2-p9dd-x41m-q8rz';
  return {
    url: `https://play.example.org:8443#sha256=${'9f2c41d0'.repeat(8)}&code=${code}`,
    code,
    expires_at_ms: Date.now() + 15 * 60_000,
  };
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.statusCode = status;
  response.setHeader('Content-Type', status < 400 ? 'application/json' : 'application/problem+json');
  response.end(JSON.stringify(body));
}

function page(items: readonly unknown[]): Answer {
  return { status: 200, body: { items } };
}

function one(item: unknown): Answer {
  return item === undefined
    ? problem(404, 'not_found', 'There is nothing here', 'It may have been removed.')
    : { status: 200, body: item };
}

function problem(status: number, code: string, title: string, detail: string): Answer {
  return { status, body: { type: `https://nearframe.dev/problems/${code}`, title, status, detail, code } };
}
