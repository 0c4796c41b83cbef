/** A TURN server (Debian's coturn) on a free port of this machine, with the REST credentials that the matchmaker makes. */

import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './wait.js';

const SECRET = 'only-for-this-test';
const START_LIMIT_MS = 10_000;

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => {
        resolve(port);
      });
    });
  });
}

export class TurnServer {
  readonly #dir = mkdtempSync(join(tmpdir(), 'nearframe-turn-'));
  readonly #process: ChildProcess;
  readonly #port: number;
  #log = '';

  private constructor(port: number) {
    this.#port = port;
    writeFileSync(this.secretFile, `${SECRET}\n`);
    const local = '127.0.0.1';
    // Relaying to loopback is what a real server must refuse; here there is nothing else.
    const args = ['-n', '--no-tls', '--no-dtls', '--no-cli', '--allow-loopback-peers', '--fingerprint', '--log-file', 'stdout'];
    // A small range, because every port is prepared at the start.
    args.push('--min-port', '49160', '--max-port', '49199');
    args.push('--listening-ip', local, '--relay-ip', local, '--listening-port', String(port), '--realm', 'nearframe');
    args.push('--use-auth-secret', '--static-auth-secret', SECRET, '--pidfile', join(this.#dir, 'pid'), '--userdb', join(this.#dir, 'db'));
    this.#process = spawn('turnserver', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (text: Buffer) => (this.#log += text.toString()));
    }
    this.#process.on('error', (error) => (this.#log += `turnserver (package coturn) could not be started: ${error.message}`));
  }

  static async start(): Promise<TurnServer> {
    const server = new TurnServer(await freePort());
    try {
      await until('turnserver (package coturn) answers', START_LIMIT_MS, () => server.#answers());
    } catch (error) {
      server.stop();
      throw new Error(server.#log, { cause: error });
    }
    return server;
  }

  /** One STUN binding request (RFC 8489 §5) and whatever comes back. */
  #answers(): Promise<true | undefined> {
    const request = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
    return new Promise((resolve) => {
      const socket = createSocket('udp4');
      const finish = (answer: true | undefined): void => {
        clearTimeout(timer);
        socket.close();
        resolve(answer);
      };
      const timer = setTimeout(() => {
        finish(undefined);
      }, 200);
      socket.once('message', () => {
        finish(true);
      });
      socket.once('error', () => {
        finish(undefined);
      });
      socket.send(request, this.#port, '127.0.0.1');
    });
  }

  get url(): string {
    return `turn:127.0.0.1:${this.#port}?transport=udp`;
  }

  /** For `--turn-secret-file`. */
  get secretFile(): string {
    return join(this.#dir, 'secret');
  }

  stop(): void {
    this.#process.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
