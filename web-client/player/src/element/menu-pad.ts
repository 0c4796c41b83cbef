/** A gamepad on the player's own buttons: A presses, the directional pad moves, B goes back; and combinations while playing. */

import { connectedPads } from '../input/gamepad';

/** A press while nothing is played is acted on within this; well below what a thumb notices. */
export const MENU_POLL_MS = 40;
/** Select + Start held this long opens the menu: no game asks for that by accident. */
const MENU_HOLD_MS = 500;
const STICK = 0.6;

const [A, B, Y, SELECT, START, UP, DOWN, LEFT, RIGHT, GUIDE] = [0, 1, 3, 8, 9, 12, 13, 14, 15, 16];

export interface MenuPadActions {
  readonly press: () => void;
  readonly back: () => void;
  readonly move: (step: 1 | -1) => void;
  readonly openMenu: () => void;
  readonly toggleStats: () => void;
}

type Command = 'press' | 'back' | 'next' | 'previous';

export class MenuPad {
  #before: ReadonlySet<Command> | undefined;
  #comboSince_ms: number | undefined;
  #guideBefore = false;
  #statsBefore = false;

  constructor(private readonly actions: MenuPadActions) {}

  /** While the pad is the interface's. What was held when this began must be let go first. */
  navigate(): void {
    const now = commands();
    const fresh = [...now].filter((command) => this.#before !== undefined && !this.#before.has(command));
    this.#before = now;
    for (const command of fresh) {
      if (command === 'press') this.actions.press();
      else if (command === 'back') this.actions.back();
      else this.actions.move(command === 'next' ? 1 : -1);
    }
  }

  /** While the pad is the title's: Guide or Select + Start opens the menu, Select + Y the statistics. */
  watch(now_ms: number): void {
    this.#before = undefined;
    const guide = isHeld(GUIDE);
    if (guide && !this.#guideBefore) this.actions.openMenu();
    this.#guideBefore = guide;
    const stats = isHeld(SELECT) && isHeld(Y);
    if (stats && !this.#statsBefore) this.actions.toggleStats();
    this.#statsBefore = stats;
    if (!isHeld(SELECT) || !isHeld(START)) this.#comboSince_ms = undefined;
    else if (this.#comboSince_ms === undefined) this.#comboSince_ms = now_ms;
    else if (now_ms - this.#comboSince_ms >= MENU_HOLD_MS) {
      this.#comboSince_ms = undefined;
      this.actions.openMenu();
    }
  }
}

function isHeld(button: number | undefined): boolean {
  return button !== undefined && connectedPads().some((pad) => pad.buttons[button]?.pressed === true);
}

function commands(): ReadonlySet<Command> {
  const stick = (axis: number, sign: number): boolean => connectedPads().some((pad) => (pad.axes[axis] ?? 0) * sign > STICK);
  const held = new Set<Command>();
  if (isHeld(A)) held.add('press');
  if (isHeld(B)) held.add('back');
  if (isHeld(RIGHT) || isHeld(DOWN) || stick(0, 1) || stick(1, 1)) held.add('next');
  if (isHeld(LEFT) || isHeld(UP) || stick(0, -1) || stick(1, -1)) held.add('previous');
  return held;
}
