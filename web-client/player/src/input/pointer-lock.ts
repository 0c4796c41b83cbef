/**
 * Pointer lock: asked for by the title or by the page, taken at the player's next press, given back
 * when neither wants it. Where the browser keeps refusing, the mouse stays absolute and usable.
 */

import type { Scope } from '../scope';

/** After this many refusals in a row presses go to the title again: the browser has no lock to give. */
const REFUSALS_MAX = 3;

/**
 * `idle`: nobody wants it · `ready`: the next press takes it · `again`: the player freed it, the next press
 * takes it back · `locked` · `refused`: the browser does not give it.
 */
export type LockState = 'idle' | 'ready' | 'again' | 'locked' | 'refused';

export class PointerLock {
  #wanted = false;
  #freed = false;
  #refusals = 0;
  #shown: LockState = 'idle';

  constructor(
    scope: Scope,
    private readonly stage: HTMLElement,
    private readonly onState: (state: LockState) => void,
  ) {
    scope.listen(document, 'pointerlockchange', () => {
      if (this.locked) this.#refusals = 0;
      else if (this.#shown === 'locked') this.#freed = this.#wanted;
      this.#tell();
    });
    scope.add(() => this.release());
  }

  get locked(): boolean {
    const root = this.stage.getRootNode();
    return root instanceof ShadowRoot ? root.pointerLockElement === this.stage : document.pointerLockElement === this.stage;
  }

  get state(): LockState {
    if (this.locked) return 'locked';
    if (!this.#wanted) return 'idle';
    if (!('requestPointerLock' in this.stage) || this.#refusals >= REFUSALS_MAX) return 'refused';
    return this.#freed ? 'again' : 'ready';
  }

  set wanted(wanted: boolean) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#freed = false;
    this.#refusals = 0;
    if (!wanted) this.release();
    this.#tell();
  }

  /** A press on the picture; true where it took the lock and is not the title's. */
  press(): boolean {
    if (this.state !== 'ready' && this.state !== 'again') return false;
    this.#lock().catch(() => {
      this.#refusals += 1;
      this.#tell();
    });
    return true;
  }

  release(): void {
    if (this.locked) document.exitPointerLock();
  }

  /** Raw motion where the system gives it, else the accelerated one. */
  async #lock(): Promise<void> {
    try {
      await this.stage.requestPointerLock({ unadjustedMovement: true });
    } catch {
      await this.stage.requestPointerLock();
    }
  }

  #tell(): void {
    const { state } = this;
    if (state === this.#shown) return;
    this.#shown = state;
    this.onState(state);
  }
}
