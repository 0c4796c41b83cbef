import { describe, expect, it } from 'vitest';
import { isChoice, landing, whyNoPasskeys } from './sign-in';

describe('the way back from a provider', () => {
  it('says what became of it and what to do', () => {
    expect(landing('#sign-in=linked')?.good).toBe(true);
    for (const word of ['expired', 'denied', 'provider_error', 'provider_down', 'bad_answer', 'no_account', 'link_used', 'already', 'full', 'not_signed_in', 'too_many', 'unavailable']) {
      const said = landing(`#sign-in=${word}`);
      expect(said?.good).toBe(false);
      expect(said?.advice.length).toBeGreaterThan(15);
    }
  });

  it('says nothing at any other address', () => {
    for (const hash of ['', '#sign-in=', '#sign-in=<b>', '#sign-in=constructor', '#join=expired', '#choose']) {
      expect(landing(hash)).toBeUndefined();
    }
    expect(isChoice('#choose')).toBe(true);
    expect(isChoice('#choose=1')).toBe(false);
  });
});

describe('passkeys', () => {
  const offer = { offered: true, host: 'play.example' };
  it.each(['play.example', 'eu.play.example'])('are there under %s', (host) => {
    expect(whyNoPasskeys(offer, host, true)).toBeUndefined();
  });

  it('are not where the server, the address or the browser has none, and the page says why', () => {
    expect(whyNoPasskeys({ offered: false, why_not: 'no name' }, 'play.example', true)).toBe('no name');
    expect(whyNoPasskeys(offer, '127.0.0.1', true)).toMatch(/play\.example.*127\.0\.0\.1/);
    expect(whyNoPasskeys(offer, 'notplay.example', true)).toMatch(/belong/);
    expect(whyNoPasskeys(offer, 'play.example', false)).toMatch(/browser/);
  });
});
