/** Networks that let nothing through directly. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { DESKTOP } from '../harness/browser.js';
import { open, watch } from '../harness/play.js';
import { Program } from '../harness/program.js';
import { inPage, separately } from '../harness/scenario.js';
import { TurnServer } from '../harness/turn.js';

interface Pair {
  readonly local: string;
  readonly protocol: string;
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
    const report = await connections.at(-1)?.getStats();
    const all = [...(report?.values() ?? [])] as Record<string, unknown>[];
    const transport = all.find((row) => row['type'] === 'transport');
    const pair = all.find((row) => row['id'] === transport?.['selectedCandidatePairId']);
    const local = all.find((row) => row['id'] === pair?.['localCandidateId']);
    return local === undefined ? undefined : { local: String(local['candidateType']), protocol: String(local['protocol']) };
  });
}

separately('a page that reaches only a TURN server plays through it', async (browser, t) => {
  const turn = await TurnServer.start();
  t.after(() => {
    turn.stop();
  });
  const { program, base } = await Program.up('--turn', turn.url, '--turn-secret-file', turn.secretFile);
  t.after(() => {
    program.discard();
  });
  await inPage('relay', { program, base, browser, t }, DESKTOP, async ({ page }) => {
    await onConnections(page, 'relay');
    await open(page, base, 'testcard');
    assert.equal((await chosenPair(page))?.local, 'relay');
    const { shown } = await watch(page, 1_500);
    assert(shown > 10, `${shown} frames in 1.5 s through the relay`);
  });
  await program.stop();
});

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
