/**
 * A gamepad as a menu control: which buttons count, and when a held direction repeats.
 * Pure: the pads' state and the time come in as arguments.
 */
import type { Direction } from './spatial';

/** What a visitor wants of the page. */
export type Command = Direction | 'activate' | 'back';

/** The part of the Gamepad API's `Gamepad` that menus need. */
export interface PadState {
  readonly axes: readonly number[];
  readonly buttons: readonly { readonly pressed: boolean }[];
}

/** A stick counts as a direction past this deflection; below it, worn sticks would move the focus. */
const STICK_THRESHOLD = 0.6;
/** A held direction repeats after this, then at this interval: as keyboards do. */
const REPEAT_AFTER_MS = 420;
const REPEAT_EVERY_MS = 130;

/** W3C standard mapping: button index of each command. */
const BUTTONS: readonly (readonly [number, Command])[] = [
  [0, 'activate'],
  [1, 'back'],
  [12, 'up'],
  [13, 'down'],
  [14, 'left'],
  [15, 'right'],
];

function held(pad: PadState): Command[] {
  const commands = BUTTONS.filter(([index]) => pad.buttons[index]?.pressed).map(([, command]) => command);
  const [x = 0, y = 0] = pad.axes;
  if (Math.abs(x) > STICK_THRESHOLD && Math.abs(x) >= Math.abs(y)) commands.push(x < 0 ? 'left' : 'right');
  else if (Math.abs(y) > STICK_THRESHOLD) commands.push(y < 0 ? 'up' : 'down');
  return commands;
}

/** Turns what is held into commands: once when pressed, and again while a direction stays held. */
export class PadReader {
  /** When each held command is due next; what is already held at the first reading is not pressed. */
  #due: Map<Command, number> | undefined;

  /** Commands that are due at `nowMs`, given every connected pad. */
  read(pads: readonly PadState[], nowMs: number): Command[] {
    const now = new Set(pads.flatMap(held));
    const before = this.#due;
    const due = new Map<Command, number>();
    const commands: Command[] = [];
    for (const command of now) {
      const at = before === undefined ? Infinity : before.get(command);
      if (at === undefined) {
        commands.push(command);
        due.set(command, repeats(command) ? nowMs + REPEAT_AFTER_MS : Infinity);
      } else if (nowMs >= at) {
        commands.push(command);
        due.set(command, nowMs + REPEAT_EVERY_MS);
      } else {
        due.set(command, at);
      }
    }
    this.#due = due;
    return commands;
  }
}

function repeats(command: Command): boolean {
  return command !== 'activate' && command !== 'back';
}
