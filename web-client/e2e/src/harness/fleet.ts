/** A matchmaker and nodes that run apart, each a process of its own. */

import assert from 'node:assert/strict';
import { ask, field, items } from './api.js';
import { Program } from './program.js';
import { until } from './wait.js';

const READY_LIMIT_MS = 20_000;

export class Fleet {
  #code: string | undefined;
  #cookie: string | undefined;
  readonly nodes: Program[] = [];

  private constructor(
    readonly matchmaker: Program,
    readonly base: string,
    private readonly address: string,
    private readonly operator: string,
    firstCode: string,
  ) {
    this.#code = firstCode;
  }

  static async start(...args: string[]): Promise<Fleet> {
    const matchmaker = Program.start('matchmaker', '--listen', '127.0.0.1:0', ...args);
    const address = await matchmaker.line(/^enrol nearframe node --matchmaker (\S+)/);
    const code = await matchmaker.line(/--enrolment-code (\S+)$/);
    const operator = await matchmaker.line(/^operator (\S+)$/);
    const base = await matchmaker.line(/^listening (http:\/\/\S+)$/);
    return new Fleet(matchmaker, base, address, operator, code);
  }

  /** Starts a node and waits until it is enrolled and offers its titles. */
  node(name: string, ...args: string[]): Promise<Program> {
    return this.#node(name, (...all) => Program.start(...all, ...args));
  }

  /** The same with a disk of its own, which needs root. */
  nodeOnDisk(name: string, disk_mib: number, ...args: string[]): Promise<Program> {
    return this.#node(name, (...all) => Program.startOnDisk(disk_mib, ...all, ...args));
  }

  async #node(name: string, start: (...args: string[]) => Program): Promise<Program> {
    const code = this.#code ?? (await this.#anotherCode());
    this.#code = undefined;
    const node = start('node', '--name', name, '--matchmaker', this.address, '--enrolment-code', code);
    this.nodes.push(node);
    const connected = async (): Promise<true | undefined> => {
      const found = items((await ask(this.base, '/v1/nodes')).body).find((row) => field(row, 'name') === name);
      return found !== undefined && field(found, 'online') === true ? true : undefined;
    };
    await until(`the node ${name} is connected`, READY_LIMIT_MS, connected).catch((error: unknown) => {
      throw new Error(`${String(error)}; its last words:\n${node.log}`, { cause: error });
    });
    return node;
  }

  /** The operator's cookie, for the one-time link. */
  async operatorCookie(): Promise<string> {
    if (this.#cookie === undefined) {
      const entered = await fetch(this.operator, { redirect: 'manual' });
      this.#cookie = entered.headers.getSetCookie().map((line) => line.split(';')[0]).join('; ');
    }
    return this.#cookie;
  }

  /** From the operator's door. */
  async #anotherCode(): Promise<string> {
    const cookie = await this.operatorCookie();
    const answer = await ask(this.base, '/v1/enrolments', { method: 'POST', headers: { cookie } });
    assert(answer.status >= 200 && answer.status < 300, JSON.stringify(answer.body));
    return String(field(answer.body, 'code'));
  }

  discard(): void {
    for (const program of [...this.nodes, this.matchmaker]) program.discard();
  }
}
