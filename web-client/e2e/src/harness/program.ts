/** Runs `nearframe` as a person would, and makes sure that nothing of it stays behind. */

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { children, commandLine, descendants, isAlive } from './processes.js';
import { until } from './wait.js';

export const BINARY = process.env['NEARFRAME_BIN'] ?? fileURLToPath(new URL('../../../../target/debug/nearframe', import.meta.url));
/** The first start on a slow machine unpacks titles and opens a software GPU. */
const START_LIMIT_MS = 60_000;
/** Draining is bounded by 5 s and closing by another 5 s (cli/src/run.rs). */
const STOP_LIMIT_MS = 15_000;
/** The kernel ends orphaned workers at once; this is for a loaded machine. */
const ORPHAN_LIMIT_MS = 3_000;

export class Program {
  readonly #lines: string[] = [];
  readonly #log: string[] = [];
  readonly #dir: string;
  readonly #temporary: string;
  readonly #process: ChildProcess;
  /** Every process below it when it was told to stop, and what each was. */
  #below = new Map<number, string>();
  #workers: readonly number[] = [];

  private constructor(args: readonly string[], disk_mib?: number) {
    this.#dir = mkdtempSync(join(tmpdir(), 'nearframe-e2e-'));
    this.#temporary = mkdtempSync(join(this.#dir, 'tmp-'));
    // An empty file keeps a configuration of this machine out of the tests.
    writeFileSync(join(this.#dir, 'empty.toml'), '');
    const data = join(this.#dir, 'data');
    const command = [BINARY, ...args, '--data', data, '--config', join(this.#dir, 'empty.toml')];
    if (disk_mib !== undefined) {
      // A mount that nobody else sees, and that ends with the program.
      mkdirSync(data);
      const mount = `mount -t tmpfs -o size=${disk_mib}m none "$0" && exec "$@"`;
      command.unshift('unshare', '--mount', '/bin/sh', '-c', mount, data);
    }
    const [program = BINARY, ...rest] = command;
    this.#process = spawn(program, rest, {
      env: { ...process.env, TMPDIR: this.#temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#collect(this.#process.stdout, this.#lines);
    this.#collect(this.#process.stderr, this.#log);
  }

  #collect(stream: NodeJS.ReadableStream | null, into: string[]): void {
    if (stream !== null) createInterface({ input: stream }).on('line', (line) => into.push(line));
  }

  /** Starts the program; its stdout can be waited for with `line`. */
  static start(...args: string[]): Program {
    return new Program(args);
  }

  /** Starts it with its data on a disk of this size of its own; needs root. */
  static startOnDisk(disk_mib: number, ...args: string[]): Program {
    return new Program(args, disk_mib);
  }

  /** Fills that disk to the last byte; gives what makes room again. */
  fillDisk(): () => void {
    const file = join(`/proc/${this.pid}/root`, this.#dir, 'data', 'filler');
    const [handle, block] = [openSync(file, 'w'), Buffer.alloc(64 * 1024)];
    try {
      for (let size = block.length; size > 0; ) {
        try {
          writeSync(handle, block, 0, size);
        } catch {
          size >>= 1;
        }
      }
    } finally {
      closeSync(handle);
    }
    return () => {
      rmSync(file);
    };
  }

  /** `nearframe up` with its address. */
  static async up(...args: string[]): Promise<{ program: Program; base: string }> {
    const program = Program.start('up', '--listen', '127.0.0.1:0', ...args);
    const base = await program.line(/^ready (http:\/\/\S+)$/);
    return { program, base };
  }

  get pid(): number {
    const { pid } = this.#process;
    assert(pid !== undefined, `${BINARY} could not be started`);
    return pid;
  }

  /** What it said on stderr, for failures. */
  get log(): string {
    return this.#log.slice(-40).join('\n');
  }

  /** Waits for a line on stdout; gives its first group. */
  line(wanted: RegExp): Promise<string> {
    const what = `${wanted.source} on stdout`;
    return until(what, START_LIMIT_MS, () => {
      if (this.#process.exitCode !== null) throw new Error(`it ended with ${this.#process.exitCode}:\n${this.log}`);
      return this.#lines.map((line) => wanted.exec(line)?.[1]).find((found) => found !== undefined);
    });
  }

  /** Asks it to stop, and checks that it does so cleanly. */
  async stop(): Promise<void> {
    this.#remember();
    this.#process.kill('SIGTERM');
    const code = await this.exit(STOP_LIMIT_MS);
    assert.equal(code, 0, `exit code after SIGTERM; its last words:\n${this.log}`);
    await this.#nothingRuns();
    await this.groupsGone();
    assert.deepEqual(readdirSync(this.#temporary), [], 'sockets or other temporary files stay behind');
    assert.deepEqual(filesBelow(join(this.#dir, 'data', 'node', 'homes')), [], 'files of players stay behind');
    const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
    assert.deepEqual(mounts.filter((line) => line.includes(this.#dir)), [], 'mounts stay behind');
    this.discard();
  }

  /** Ends it without warning; what it leaves is the test's to look at. */
  async kill(): Promise<void> {
    this.#remember();
    this.#process.kill('SIGKILL');
    await this.exit(STOP_LIMIT_MS);
    await this.#nothingRuns();
  }

  #remember(): void {
    this.#workers = children(this.pid);
    this.#below = new Map(descendants(this.pid).map((pid) => [pid, commandLine(pid)]));
  }

  /** Titles, their sound servers and sandboxes are gone as well as workers. */
  async #nothingRuns(): Promise<void> {
    const left = (): string[] => [...this.#below].flatMap(([pid, what]) => (isAlive(pid) ? [`${pid} ${what}`] : []));
    await until('everything that the program started has ended', ORPHAN_LIMIT_MS, () => (left().length === 0 ? true : undefined)).catch(
      (error: unknown) => {
        throw new Error(`still running: ${left().join('; ')}`, { cause: error });
      },
    );
  }

  /** The control groups of its titles are gone: at once where it was asked to stop, with the next title where it was killed. */
  async groupsGone(): Promise<void> {
    await until('the control groups of its titles are gone', ORPHAN_LIMIT_MS, () =>
      controlGroups(this.#workers).length === 0 ? true : undefined,
    );
  }

  async exit(limit_ms: number): Promise<number | null> {
    await until('the program has ended', limit_ms, () =>
      this.#process.exitCode !== null || this.#process.signalCode !== null ? true : undefined,
    );
    return this.#process.exitCode;
  }

  /** Removes its files; ends it where a test failed before it could. */
  discard(): void {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Files, not folders, below a folder that need not exist. */
function filesBelow(dir: string): string[] {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
}

/** Groups that workers made for their titles: `nearframe-title-<worker>-<number>`, wherever the worker itself is. */
function controlGroups(workers: readonly number[]): string[] {
  const homes = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  const places = homes.flatMap((line) => {
    const [, controllers = '', path = ''] = line.split(':');
    const roots = controllers === '' ? ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'] : controllers.split(',').map((name) => `/sys/fs/cgroup/${name}`);
    return roots.map((root) => join(root, path));
  });
  const groups = places.flatMap((place) => (existsSync(place) ? readdirSync(place) : []));
  return groups.filter((name) => workers.some((worker) => name.startsWith(`nearframe-title-${worker}-`)));
}
