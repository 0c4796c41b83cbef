/**
 * A wire that can be cut: sits between a page and its node. Media goes through a UDP relay, because the
 * page is told the relay's address instead of the node's and the node is told none of the page's;
 * signalling goes through the test. Cutting it drops every datagram both ways and holds back signalling,
 * as a network does that is away. No privilege is needed.
 */

import { createSocket, type Socket } from 'node:dgram';
import type { Page, WebSocketRoute } from 'playwright-core';

/** `candidate:… component transport priority address port typ …` (RFC 8839). */
const CANDIDATE = /candidate:\S+ \d+ (?<transport>\S+) \d+ (?<address>\S+) (?<port>\d+) typ/i;

interface Message {
  readonly type: string;
  readonly sdp?: string;
  readonly candidate?: string;
}

export class Wire {
  #cut = false;
  #held: (() => void)[] = [];
  readonly #relays = new Map<string, Promise<number>>();
  readonly #sockets: Socket[] = [];
  #datagrams = 0;
  #reports = 0;

  /** Takes the page's signalling sockets; has to happen before the page is opened. */
  async attach(page: Page): Promise<void> {
    await page.routeWebSocket(/\/signal$/, (socket) => this.#route(socket));
  }

  /** Datagrams carried so far: nothing may get around the wire. */
  get datagrams(): number {
    return this.#datagrams;
  }

  /** Reports of arrivals (transport-wide feedback) that the page sent so far. */
  get reports(): number {
    return this.#reports;
  }

  cut(): void {
    this.#cut = true;
  }

  mend(): void {
    this.#cut = false;
    const held = this.#held;
    this.#held = [];
    for (const send of held) send();
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  #route(page: WebSocketRoute): void {
    const server = page.connectToServer();
    page.onMessage((text) => {
      const message = parse(text);
      if (message?.type === 'candidate') return;
      const sent = message?.type === 'offer' ? JSON.stringify({ ...message, sdp: withoutCandidates(message.sdp ?? '') }) : text;
      this.#carry(() => server.send(sent));
    });
    // Rewriting waits for a port; the order of what the server said stays.
    let turn = Promise.resolve();
    server.onMessage((text) => {
      turn = turn.then(async () => {
        const changed = await this.#towardsPage(text);
        if (changed !== undefined) this.#carry(() => page.send(changed));
      });
    });
  }

  #carry(send: () => void): void {
    if (this.#cut) this.#held.push(send);
    else send();
  }

  async #towardsPage(text: string | Buffer): Promise<string | Buffer | undefined> {
    const message = parse(text);
    if (message?.type === 'answer') return JSON.stringify({ ...message, sdp: await this.#relayed(message.sdp ?? '') });
    if (message?.type !== 'candidate') return text;
    const candidate = await this.#relayedLine(message.candidate ?? '');
    return candidate === undefined ? undefined : JSON.stringify({ ...message, candidate });
  }

  async #relayed(sdp: string): Promise<string> {
    const lines = await Promise.all(sdp.split('\r\n').map((line) => this.#relayedLine(line)));
    return lines.filter((line) => line !== undefined).join('\r\n');
  }

  /** A candidate with the relay's address, nothing for one that cannot be relayed, any other line as it is. */
  async #relayedLine(line: string): Promise<string | undefined> {
    const found = CANDIDATE.exec(line)?.groups;
    const { transport, address, port } = found ?? {};
    if (address === undefined || port === undefined) return line;
    if (transport?.toLowerCase() !== 'udp' || address.includes(':')) return undefined;
    const relay = await this.#relay(address, Number(port));
    return line.replace(`${address} ${port} typ`, `127.0.0.1 ${relay} typ`);
  }

  /** The port behind which `address:port` is reached. */
  #relay(address: string, port: number): Promise<number> {
    const key = `${address}:${port}`;
    const known = this.#relays.get(key);
    if (known !== undefined) return known;
    const made = this.#listen(address, port);
    this.#relays.set(key, made);
    return made;
  }

  #listen(address: string, port: number): Promise<number> {
    const front = this.#socket();
    // Each of the page's ports is another peer to the node.
    const backs = new Map<string, Socket>();
    front.on('message', (datagram, from) => {
      if (this.#cut) return;
      this.#datagrams += 1;
      this.#reports += Number(isReport(datagram));
      const key = `${from.address}:${from.port}`;
      let back = backs.get(key);
      if (back === undefined) {
        back = this.#socket();
        back.on('message', (answer) => {
          if (this.#cut) return;
          this.#datagrams += 1;
          front.send(answer, from.port, from.address);
        });
        backs.set(key, back);
      }
      back.send(datagram, port, address);
    });
    return new Promise((resolve) => front.bind(0, '127.0.0.1', () => resolve(front.address().port)));
  }

  #socket(): Socket {
    const socket = createSocket('udp4');
    // A port whose owner has gone is what a cut is about.
    socket.on('error', () => undefined);
    this.#sockets.push(socket);
    return socket;
  }
}

/** RTCP's first bytes are readable (RFC 3711, section 3.4): feedback on transport (205) of format 15. */
function isReport(datagram: Buffer): boolean {
  return datagram[1] === 205 && ((datagram[0] ?? 0) & 0x1f) === 15;
}

function parse(text: string | Buffer): Message | undefined {
  if (typeof text !== 'string') return undefined;
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && 'type' in value ? (value as Message) : undefined;
}

function withoutCandidates(sdp: string): string {
  return sdp
    .split('\r\n')
    .filter((line) => !line.startsWith('a=candidate:'))
    .join('\r\n');
}
