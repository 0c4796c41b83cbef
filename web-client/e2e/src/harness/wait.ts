/** Waiting for what happens outside this process, always with a limit. */

const STEP_MS = 50;

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is there; fails naming `what` after `limit_ms`. */
export async function until<T>(what: string, limit_ms: number, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = Date.now() + limit_ms;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`not within ${limit_ms / 1000} s: ${what}`);
    await sleep(STEP_MS);
  }
}
