/** A TURN server (Debian's coturn) on free ports of this machine, with the REST credentials that the matchmaker makes. */

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
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

/** Ways to reach a TURN server. */
export type TurnWay = 'udp' | 'tcp' | 'tls';

export class TurnServer {
  readonly #dir = mkdtempSync(join(tmpdir(), 'nearframe-turn-'));
  readonly #process: ChildProcess;
  readonly #port: number;
  readonly #tlsPort: number;
  readonly #way: TurnWay;
  #log = '';

  private constructor(port: number, tlsPort: number, way: TurnWay) {
    this.#port = port;
    this.#tlsPort = tlsPort;
    this.#way = way;
    writeFileSync(this.secretFile, `${SECRET}\n`);
    this.#makeCertificate();
    const local = '127.0.0.1';
    // Relaying to loopback is what a real server must refuse; here there is nothing else.
    const args = ['-n', '--no-dtls', '--no-cli', '--allow-loopback-peers', '--fingerprint', '--log-file', 'stdout'];
    // A small range, because every port is prepared at the start.
    args.push('--min-port', '49160', '--max-port', '49199');
    args.push('--listening-ip', local, '--relay-ip', local, '--listening-port', String(port), '--realm', 'nearframe');
    args.push('--tls-listening-port', String(tlsPort), '--cert', this.#certificate, '--pkey', this.#key);
    if (way !== 'udp') args.push('--no-udp');
    if (way === 'tls') args.push('--no-tcp');
    args.push('--use-auth-secret', '--static-auth-secret', SECRET, '--pidfile', join(this.#dir, 'pid'), '--userdb', join(this.#dir, 'db'));
    this.#process = spawn('turnserver', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (text: Buffer) => (this.#log += text.toString()));
    }
    this.#process.on('error', (error) => (this.#log += `turnserver (package coturn) could not be started: ${error.message}`));
  }

  /** `way`: the quickest way by which it answers, in the order UDP, TCP, TLS. */
  static async start(way: TurnWay = 'udp'): Promise<TurnServer> {
    const server = new TurnServer(await freePort(), await freePort(), way);
    try {
      await until('turnserver (package coturn) answers', START_LIMIT_MS, () => (way === 'udp' ? server.#answers() : server.#listens()));
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

  #listens(): Promise<true | undefined> {
    return new Promise((resolve) => {
      const socket = connect(this.#way === 'tls' ? this.#tlsPort : this.#port, '127.0.0.1');
      const finish = (listens: true | undefined): void => {
        socket.destroy();
        resolve(listens);
      };
      socket.once('connect', () => {
        finish(true);
      });
      socket.once('error', () => {
        finish(undefined);
      });
    });
  }

  /** A certificate that nobody vouches for: a browser has to be told of its key. */
  #makeCertificate(): void {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '1'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', this.#key, '-out', this.#certificate], { stdio: 'ignore' });
  }

  get #certificate(): string {
    return join(this.#dir, 'certificate.pem');
  }

  get #key(): string {
    return join(this.#dir, 'key.pem');
  }

  /** What Chromium's `--ignore-certificate-errors-spki-list` takes: the certificate's key, and no other, is trusted. */
  get keyHash(): string {
    const { publicKey } = new X509Certificate(readFileSync(this.#certificate));
    return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  }

  /** For `--turn`: every way, whether or not it answers there. */
  get urls(): string {
    const plain = `turn:127.0.0.1:${this.#port}?transport=`;
    return [`${plain}udp`, `${plain}tcp`, `turns:localhost:${this.#tlsPort}?transport=tcp`].join(',');
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
