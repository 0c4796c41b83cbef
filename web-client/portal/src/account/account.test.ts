import { describe, expect, it } from 'vitest';
import { actorName, deed, joinToken, reaches, readLimit, standing } from './account';

describe('an amount that somebody types', () => {
  it.each([
    ['', null],
    ['  ', null],
    ['25', { amount: '25', currency: 'EUR' }],
    ['12,50', { amount: '12.50', currency: 'EUR' }],
    ['0.000001', { amount: '0.000001', currency: 'EUR' }],
  ])('%j is read', (text, limit) => {
    expect(readLimit(text, 'EUR')).toEqual({ limit });
  });

  it.each(['-1', '1e3', '1.0000001', 'ten', '1 000', '.5', '5.'])('%j is refused', (text) => {
    expect(readLimit(text, 'EUR')).toHaveProperty('wrong');
  });
});

describe('a link', () => {
  it('has a token behind its hash', () => {
    const token = 'a'.repeat(43);
    expect(joinToken(`#join=${token}`)).toBe(token);
    for (const hash of ['', '#join=', '#join=short', `#join=${token}&x`, `#enter=${token}`]) {
      expect(joinToken(hash)).toBeUndefined();
    }
  });
});

describe('a key', () => {
  it('stops when it is revoked or its time is over', () => {
    expect(standing({}, 10)).toBe('works');
    expect(standing({ expires_at_ms: 11 }, 10)).toBe('works');
    expect(standing({ expires_at_ms: 10 }, 10)).toBe('expired');
    expect(standing({ expires_at_ms: 99, revoked_at_ms: 1 }, 10)).toBe('revoked');
  });
});

describe('roles and deeds', () => {
  it('reach what those below them do', () => {
    expect(reaches('owner', 'member')).toBe(true);
    expect(reaches('member', 'member')).toBe(true);
    expect(reaches('viewer', 'member')).toBe(false);
    expect(reaches(undefined, 'viewer')).toBe(false);
  });

  it('are told in words, also when they were refused', () => {
    expect(deed({ door: 'POST /v1/accounts/{account}/keys', status: 201 })).toBe('made a key');
    expect(deed({ door: 'POST /v1/accounts/{account}/keys', status: 403 })).toBe('tried: made a key (403)');
    expect(deed({ door: 'PUT /v1/new', status: 204 })).toBe('PUT /v1/new');
    const names = new Map([['1', 'Vera']]);
    expect(actorName({ kind: 'member', id: '1' }, names)).toBe('Vera');
    expect(actorName({ kind: 'member', id: '2' }, names)).toBe('A former member');
    expect(actorName({ kind: 'operator' }, names)).toBe('An operator');
  });
});
