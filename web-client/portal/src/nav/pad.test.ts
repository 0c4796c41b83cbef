import { describe, expect, it } from 'vitest';
import { PadReader, type PadState } from './pad';

function pad({ buttons = [] as number[], axes = [0, 0] } = {}): PadState {
  return { axes, buttons: Array.from({ length: 17 }, (_, index) => ({ pressed: buttons.includes(index) })) };
}

/** A reader that has seen the pad at rest. */
function rested(): PadReader {
  const reader = new PadReader();
  reader.read([pad()], 0);
  return reader;
}

describe('PadReader', () => {
  it('activates once however long the button is held', () => {
    const reader = rested();
    expect(reader.read([pad({ buttons: [0] })], 10)).toEqual(['activate']);
    expect(reader.read([pad({ buttons: [0] })], 5000)).toEqual([]);
    reader.read([pad()], 5010);
    expect(reader.read([pad({ buttons: [0] })], 5020)).toEqual(['activate']);
  });

  it('repeats a held direction, slowly at first', () => {
    const reader = rested();
    const down = [pad({ buttons: [13] })];
    expect(reader.read(down, 100)).toEqual(['down']);
    expect(reader.read(down, 500)).toEqual([]);
    expect(reader.read(down, 520)).toEqual(['down']);
    expect(reader.read(down, 600)).toEqual([]);
    expect(reader.read(down, 650)).toEqual(['down']);
  });

  it('ignores a button that was already held when the page began to listen', () => {
    const reader = new PadReader();
    expect(reader.read([pad({ buttons: [1] })], 0)).toEqual([]);
    expect(reader.read([pad({ buttons: [1] })], 9000)).toEqual([]);
  });

  it('reads the stick by its larger axis and not at rest', () => {
    const reader = rested();
    expect(reader.read([pad({ axes: [0.3, -0.2] })], 10)).toEqual([]);
    expect(reader.read([pad({ axes: [0.7, -0.9] })], 20)).toEqual(['up']);
  });

  it('takes commands from any pad, each once', () => {
    const reader = rested();
    expect(reader.read([pad({ buttons: [13] }), pad({ buttons: [13], axes: [0, 1] })], 10)).toEqual(['down']);
  });
});
