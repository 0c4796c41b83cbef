/** Processes as the kernel tells them in /proc. */

import { readdirSync, readFileSync } from 'node:fs';
import { sleep, until } from './wait.js';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Gone since it was listed.
    return undefined;
  }
}

/** State and parent, behind the parenthesised name, which may hold anything. */
function status(pid: number): { state: string; parent: number; ticks: number } | undefined {
  const fields = read(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ');
  if (fields === undefined) return undefined;
  return { state: fields[0] ?? '', parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

export function isAlive(pid: number): boolean {
  const found = status(pid);
  return found !== undefined && found.state !== 'Z';
}

/** Living children of `pid`. */
export function children(pid: number): number[] {
  const pids = readdirSync('/proc').map(Number).filter((entry) => Number.isInteger(entry));
  return pids.filter((child) => status(child)?.parent === pid && isAlive(child));
}

/** Every living process below `pid`, children before their own. */
export function descendants(pid: number): number[] {
  const parents = new Map<number, number[]>();
  for (const entry of readdirSync('/proc').map(Number)) {
    const found = Number.isInteger(entry) ? status(entry) : undefined;
    if (found === undefined || found.state === 'Z') continue;
    parents.set(found.parent, [...(parents.get(found.parent) ?? []), entry]);
  }
  const below = (parent: number): number[] => (parents.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

/** The command line as one text; empty for a process that is gone. */
export function commandLine(pid: number): string {
  return (read(`/proc/${pid}/cmdline`) ?? '').split('\0').join(' ').trim();
}

/** The process below `pid` that runs as the program of a title with these arguments. */
export function titleProcess(pid: number, command: string): number {
  const found = descendants(pid).find((child) => commandLine(child) === command);
  if (found === undefined) throw new Error(`no process below ${pid} is ${command}`);
  return found;
}

/** The worker that `pid`, below it, belongs to: the child of `root`. */
export function workerOf(pid: number, root: number): number {
  let at = pid;
  for (let parent = status(at)?.parent; parent !== undefined && parent > 1; parent = status(at)?.parent) {
    if (parent === root) return at;
    at = parent;
  }
  throw new Error(`process ${pid} is not below ${root}`);
}

/** Processor time used so far, in clock ticks; nothing for a process that is gone. */
export function ticks(pid: number): number | undefined {
  return status(pid)?.ticks;
}

/** How often its threads have left the processor: grows with anything that a process does. Nothing for one that is gone. */
export function switches(pid: number): number | undefined {
  const dir = `/proc/${pid}/task`;
  if (!isAlive(pid)) return undefined;
  const threads = readdirSync(dir).map((thread) => read(`${dir}/${thread}/status`) ?? '');
  const counts = threads.flatMap((text) => [...text.matchAll(/ctxt_switches:\s+(\d+)/g)].map(([, count]) => Number(count)));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The child whose processor time grew most between two looks: the one that plays. */
export async function busiestChild(pid: number, look_ms: number): Promise<number> {
  const before = new Map(children(pid).map((child) => [child, status(child)?.ticks ?? 0]));
  await new Promise((resolve) => setTimeout(resolve, look_ms));
  const grown = [...before].map(([child, ticks]) => [child, (status(child)?.ticks ?? 0) - ticks] as const);
  const busiest = grown.sort((a, b) => b[1] - a[1])[0];
  if (busiest === undefined || busiest[1] === 0) throw new Error(`no child of process ${pid} works`);
  return busiest[0];
}

const STILL_MS = 1_500;

/** Waits until a process gets no processor time for a while. */
export async function frozen(pid: number, limit_ms: number): Promise<void> {
  await until(`process ${pid} stands still`, limit_ms, async () => {
    const before = switches(pid);
    await sleep(STILL_MS);
    return before !== undefined && switches(pid) === before ? true : undefined;
  });
}
