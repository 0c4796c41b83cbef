import { describe, expect, it } from 'vitest';
import { localTime, machinesText, most, shortText, wish, type Form } from './reserving';

const form: Form = { title: 'meteor', region: 'de', machines: 2, from: '2026-12-01T18:00', hours: 1.5, ceiling: '' };

describe('a wish to reserve', () => {
  it('is what the form says, in Unix ms', () => {
    const asked = wish(form, 'EUR');
    const from_ms = new Date('2026-12-01T18:00').getTime();
    expect(asked).toEqual({ title: 'meteor', region: 'DE', machines: 2, from_ms, until_ms: from_ms + 5_400_000 });
    expect(wish({ ...form, ceiling: '0.25' }, 'EUR', 'a')).toMatchObject({ price_ceiling: { amount: '0.25', currency: 'EUR' }, account: 'a' });
    expect(localTime(from_ms)).toBe('2026-12-01T18:00');
  });

  it('is none where something is missing or impossible', () => {
    const wrong: Partial<Form>[] = [{ title: '' }, { machines: 0 }, { machines: 1.5 }, { machines: 101 }, { hours: 0 }, { hours: 745 }, { from: '' }, { ceiling: '1e3' }];
    for (const change of wrong) expect(wish({ ...form, ...change }, 'EUR'), JSON.stringify(change)).toBeUndefined();
  });
});

describe('what it costs at most', () => {
  it('is exact to the micro-unit', () => {
    expect(most(form, { amount: '0.100001', currency: 'EUR' })).toEqual({ amount: '0.300003', currency: 'EUR' });
  });
});

describe('machines in words', () => {
  it('leaves out those that only wait for another to go', () => {
    const machine = (state: string, is_next = false) => ({ node: 'n', state, is_next });
    expect(machinesText({ machine_states: [machine('standing'), machine('standing'), machine('gone'), machine('waiting', true)] })).toBe('2 standing, 1 gone');
    expect(machinesText({ machine_states: [] })).toBe('');
  });

  it('says what was missing, but not the moment in which machines begin', () => {
    expect(shortText({ machines: 2, short_ms: 19_999 })).toBe('');
    expect(shortText({ machines: 2, short_ms: 90_000 })).toContain('1:30 of machines’ time was missing');
    expect(shortText({ machines: 1 })).toBe('');
  });
});
