/**
 * Makes nodes far: what a page is told of a candidate leads through a relay of the test that holds every datagram for
 * half of a round trip each way. No privilege is needed.
 */

import { createSocket, type Socket } from 'node:dgram';
import type { Page } from 'playwright-core';

interface Candidate {
  readonly node: string;
  readonly addresses: readonly string[];
}

interface Survey {
  readonly candidates: readonly Candidate[];
}

export class Distance {
  readonly #sockets: Socket[] = [];
  #datagrams = 0;
  /** Nodes that pages were told to measure. */
  readonly asked = new Set<string>();

  /** `rtt_ms` says how far each node is; those that it does not name are as near as they are. */
  constructor(private readonly rtt_ms: ReadonlyMap<string, number>) {}

  /** Datagrams carried so far. */
  get datagrams(): number {
    return this.#datagrams;
  }

  /** Has to happen before the page is opened. */
  async attach(page: Page): Promise<void> {
    await page.route('**/v1/surveys', async (route) => {
      const answer = await route.fetch();
      const survey = (await answer.json()) as Survey;
      const candidates = await Promise.all(survey.candidates.map((candidate) => this.#moved(candidate)));
      await route.fulfill({ response: answer, json: { ...survey, candidates } });
    });
  }

  async #moved(candidate: Candidate): Promise<Candidate> {
    this.asked.add(candidate.node);
    const rtt_ms = this.rtt_ms.get(candidate.node);
    if (rtt_ms === undefined) return candidate;
    const addresses = await Promise.all(candidate.addresses.map((address) => this.#relay(address, rtt_ms / 2)));
    return { ...candidate, addresses };
  }

  #relay(address: string, one_way_ms: number): Promise<string> {
    const [host = '', port = ''] = address.split(':');
    const front = this.#socket();
    const backs = new Map<string, Socket>();
    front.on('message', (datagram, from) => {
      this.#datagrams += 1;
      const key = `${from.address}:${from.port}`;
      let back = backs.get(key);
      if (back === undefined) {
        back = this.#socket();
        back.on('message', (answer) => {
          setTimeout(() => { front.send(answer, from.port, from.address, () => undefined); }, one_way_ms);
        });
        backs.set(key, back);
      }
      const onward = back;
      setTimeout(() => { onward.send(datagram, Number(port), host, () => undefined); }, one_way_ms);
    });
    return new Promise((resolve) => {
      front.bind(0, '127.0.0.1', () => { resolve(`127.0.0.1:${front.address().port}`); });
    });
  }

  #socket(): Socket {
    const socket = createSocket('udp4');
    socket.on('error', () => undefined);
    this.#sockets.push(socket);
    return socket;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }
}
