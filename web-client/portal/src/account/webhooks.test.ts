import { describe, expect, it } from 'vitest';
import type { Delivery } from '../api/webhooks';
import { fared, webhookStanding } from './webhooks';

const delivery = (rest: Partial<Delivery>): Delivery => ({
  event: '1', kind: 'session.ended', at_ms: 0, state: 'pending', tries: 0, ...rest,
});

describe('a delivery', () => {
  it.each([
    [delivery({}), 'not tried yet'],
    [delivery({ state: 'delivered', tries: 1, status: 204 }), 'answered 204'],
    [delivery({ tries: 1, status: 500, trouble: 'answered with 500', due_ms: 6_000 }), 'answered with 500; 1 try, again in 5 s'],
    [delivery({ tries: 3, trouble: 'no route', due_ms: 1_801_000 }), 'no route; 3 tries, again in 30 min'],
    [delivery({ tries: 6, trouble: 'no route', due_ms: 36_001_000 }), 'no route; 6 tries, again in 10 h'],
    [delivery({ tries: 2, trouble: 'no route', due_ms: 1_000 }), 'no route; 2 tries'],
    [delivery({ state: 'dead', tries: 10, trouble: 'no route' }), 'no route; 10 tries, given up'],
  ])('%j fared so', (row, words) => {
    expect(fared(row, 1_000)).toBe(words);
  });
});

describe('a webhook', () => {
  it('says why nothing is sent, or when something was', () => {
    expect(webhookStanding({ disabled: 'gone' }, 0)).toContain('410');
    expect(webhookStanding({ disabled: 'failing', delivered_at_ms: 1 }, 0)).toContain('three days');
    expect(webhookStanding({ delivered_at_ms: 1 }, 2)).toMatch(/^delivered /);
    expect(webhookStanding({}, 0)).toBe('nothing delivered yet');
  });
});
