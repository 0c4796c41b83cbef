/** Which devices play a title, read from its control hints. */
import type { ControlHint } from '../api/client';
import type { IconName } from './icons';

/** A device that plays a title. */
export interface Device {
  readonly icon: IconName;
  readonly label: string;
}

const isMouse = (key: string): boolean => key.startsWith('Mouse') || key === 'Wheel';

/** Devices that any hint names, in the order in which most people have them. */
export function devicesOf(controls: readonly ControlHint[]): Device[] {
  const keys = controls.flatMap((hint) => hint.keys ?? []);
  const all: [boolean, Device][] = [
    [keys.some((key) => !isMouse(key)), { icon: 'keyboard', label: 'Keyboard' }],
    [keys.some(isMouse), { icon: 'mouse', label: 'Mouse' }],
    [controls.some((hint) => (hint.pad ?? []).length > 0), { icon: 'pad', label: 'Gamepad' }],
    [controls.some((hint) => Boolean(hint.touch)), { icon: 'touch', label: 'Touch' }],
  ];
  return all.filter(([plays]) => plays).map(([, device]) => device);
}
