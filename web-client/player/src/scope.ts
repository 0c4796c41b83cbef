/**
 * Ownership of listeners, timers and connections. Whatever is opened belongs to a scope, and closing
 * the scope closes it; nothing in the player is opened without one.
 */

export class Scope {
  readonly #closers = new Set<() => void>();
  #closed = false;

  get closed(): boolean {
    return this.#closed;
  }

  /** Runs `close` when the scope closes; at once where it is closed already. */
  add(close: () => void): void {
    if (this.#closed) close();
    else this.#closers.add(close);
  }

  listen<E extends Event>(
    target: EventTarget,
    type: string,
    listener: (event: E) => void,
    options: AddEventListenerOptions = {},
  ): void {
    if (this.#closed) return;
    const handle = (event: Event): void => listener(event as E);
    target.addEventListener(type, handle, options);
    this.add(() => target.removeEventListener(type, handle, options));
  }

  interval(period_ms: number, tick: () => void): void {
    if (this.#closed) return;
    const timer = setInterval(tick, period_ms);
    this.add(() => clearInterval(timer));
  }

  /** A timer that can be stopped early by the function returned. */
  timeout(delay_ms: number, fire: () => void): () => void {
    if (this.#closed) return () => undefined;
    const stop = (): void => {
      clearTimeout(timer);
      this.#closers.delete(stop);
    };
    const timer = setTimeout(() => {
      this.#closers.delete(stop);
      fire();
    }, delay_ms);
    this.add(stop);
    return stop;
  }

  /** A scope that closes with this one, or earlier by itself. */
  child(): Scope {
    const child = new Scope();
    const close = (): void => child.close();
    this.add(close);
    child.add(() => this.#closers.delete(close));
    return child;
  }

  /** How many things are open. */
  get size(): number {
    return this.#closers.size;
  }

  /** Closes everything, newest first. Closing twice does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const close of [...this.#closers].reverse()) close();
    this.#closers.clear();
  }
}
