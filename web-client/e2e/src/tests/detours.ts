/** Networks that let nothing through directly. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { DESKTOP, launch } from '../harness/browser.js';
import { open, watch } from '../harness/play.js';
import { Program } from '../harness/program.js';
import { inPage, separately } from '../harness/scenario.js';
import { until } from '../harness/wait.js';
import { TurnServer, type TurnWay } from '../harness/turn.js';

/** Statistics are read once a second. */
const TOLD_LIMIT_MS = 5_000;

interface Pair {
  readonly local: string;
  readonly protocol: string;
  /** How the relay is reached, where there is one. */
  readonly relayProtocol: string;
}

/** Keeps the page's connections within reach, and lets them be made through a relay alone where wanted. */
async function onConnections(page: Page, policy: RTCIceTransportPolicy): Promise<void> {
  await page.addInitScript((iceTransportPolicy) => {
    const connections: RTCPeerConnection[] = [];
    Object.assign(window, { connections });
    window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
      construct: (target, [configuration]: [RTCConfiguration | undefined]) => {
        const made = new target({ ...configuration, iceTransportPolicy });
        const set = made.setConfiguration.bind(made);
        made.setConfiguration = (next) => {
          set({ ...next, iceTransportPolicy });
        };
        connections.push(made);
        return made;
      },
    });
  }, policy);
}

/** Takes every UDP candidate out of what page and node tell each other. */
async function withoutUdp(page: Page): Promise<void> {
  const strip = (text: string): string | undefined => {
    const message = JSON.parse(text) as { type: string; sdp?: string; candidate?: string };
    const isUdp = (line: string): boolean => /candidate:\S+ \d+ udp /i.test(line);
    if (message.type === 'candidate' && isUdp(message.candidate ?? '')) return undefined;
    const sdp = message.sdp?.split('\r\n').filter((line) => !isUdp(line));
    return sdp === undefined ? text : JSON.stringify({ ...message, sdp: sdp.join('\r\n') });
  };
  await page.routeWebSocket(/\/signal$/, (socket) => {
    const server = socket.connectToServer();
    const pass = (send: (text: string) => void) => (text: string | Buffer) => {
      const kept = strip(text.toString());
      if (kept !== undefined) send(kept);
    };
    socket.onMessage(pass((text) => { server.send(text); }));
    server.onMessage(pass((text) => { socket.send(text); }));
  });
}

/** The pair of candidates that media takes. */
function chosenPair(page: Page): Promise<Pair | undefined> {
  return page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    // Closed ones only asked whether a relay answers.
    const report = await connections.findLast(({ signalingState }) => signalingState !== 'closed')?.getStats();
    const all = [...(report?.values() ?? [])] as Record<string, unknown>[];
    const transport = all.find((row) => row['type'] === 'transport');
    const pair = all.find((row) => row['id'] === transport?.['selectedCandidatePairId']);
    const local = all.find((row) => row['id'] === pair?.['localCandidateId']);
    const word = (name: string): string => String(local?.[name]);
    return local === undefined ? undefined : { local: word('candidateType'), protocol: word('protocol'), relayProtocol: word('relayProtocol') };
  });
}

/** The line of the statistics that tells what the way of the packets costs. */
async function wayTold(page: Page): Promise<string | undefined> {
  const said = await page.evaluate(() => {
    const panel = document.querySelector('near-frame')?.shadowRoot?.querySelector<HTMLElement>('.stats');
    if (panel === null || panel === undefined) throw new Error('there are no statistics');
    panel.hidden = false;
    return panel.innerText;
  });
  return /UDP is blocked here|goes round by a relay/.exec(said)?.[0];
}

/** Checks of candidates take seconds on a full machine. */
const CHOSEN_LIMIT_MS = 10_000;

const WAYS: readonly [TurnWay, string][] = [
  ['udp', 'goes round by a relay'],
  ['tcp', 'UDP is blocked here'],
  ['tls', 'UDP is blocked here'],
];

for (const [way, reason] of WAYS) {
  separately(`a page that reaches only a TURN server, by ${way} at best, plays through it and says so`, async (_, t) => {
    const turn = await TurnServer.start(way);
    t.after(() => {
      turn.stop();
    });
    const browser = await launch(`--ignore-certificate-errors-spki-list=${turn.keyHash}`);
    t.after(() => browser.close());
    const { program, base } = await Program.up('--turn', turn.urls, '--turn-secret-file', turn.secretFile);
    t.after(() => {
      program.discard();
    });
    await inPage(`relay by ${way}`, { program, base, browser, t }, DESKTOP, async ({ page }) => {
      await onConnections(page, 'relay');
      await open(page, base, 'testcard');
      // A browser begins on the first way that answers, and by itself often stays there.
      await until(`media go through the relay by ${way}`, CHOSEN_LIMIT_MS, async () => {
        const pair = await chosenPair(page);
        return pair?.local === 'relay' && pair.relayProtocol === way ? true : undefined;
      });
      const { shown } = await watch(page, 1_500);
      assert(shown > 10, `${shown} frames in 1.5 s through the relay`);
      await until('the way is told', TOLD_LIMIT_MS, async () => ((await wayTold(page)) === reason ? true : undefined));
    });
    await program.stop();
  });
}

separately('a page that cannot use UDP plays over TCP where the node allows it', async (browser, t) => {
  const { program, base } = await Program.up('--ice-tcp');
  t.after(() => {
    program.discard();
  });
  await inPage('tcp', { program, base, browser, t }, DESKTOP, async ({ page }) => {
    await onConnections(page, 'all');
    await withoutUdp(page);
    await open(page, base, 'testcard');
    assert.equal((await chosenPair(page))?.protocol, 'tcp');
    const { shown } = await watch(page, 1_500);
    assert(shown > 10, `${shown} frames in 1.5 s over TCP`);
  });
  await program.stop();
});
