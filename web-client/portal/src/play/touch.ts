/** What a title wants drawn on a touch screen, as the player takes it. */
import type { NearFrame } from '@nearframe/player';
import type { Title } from '../api/client';

/** Stick and buttons, or authored layouts in their place. */
export function touchOf({ touch }: Pick<Title, 'touch'>): NearFrame['touch'] {
  const { stick = false, buttons = [], layouts = [] } = touch;
  return { stick, buttons, ...(layouts.length > 0 && { layouts }) };
}
