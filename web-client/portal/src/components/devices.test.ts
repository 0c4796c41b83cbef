import { describe, expect, it } from 'vitest';
import { devicesOf } from './devices';

describe('the devices of a title', () => {
  it('are those that its hints name', () => {
    const hints = [
      { action: 'Steer', keys: ['KeyA', 'Mouse'], pad: [], touch: null },
      { action: 'Fire', keys: ['Space'], pad: ['A'], touch: 'Tap' },
    ];
    expect(devicesOf(hints).map((device) => device.label)).toEqual(['Keyboard', 'Mouse', 'Gamepad', 'Touch']);
  });

  it('do not include a keyboard for mouse hints alone', () => {
    expect(devicesOf([{ action: 'Orbit', keys: ['MouseLeft', 'Wheel'], pad: [] }]).map((d) => d.label)).toEqual(['Mouse']);
  });

  it('are none without hints', () => {
    expect(devicesOf([])).toEqual([]);
  });
});
