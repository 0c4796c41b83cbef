import { describe, expect, it } from 'vitest';
import { creation, request, toBytes, toText } from './passkey';

describe('bytes', () => {
  it('are the same after there and back', () => {
    for (const length of [0, 1, 2, 3, 32, 255]) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 37 + 250) % 256);
      const text = toText(bytes.buffer);
      expect(text).toMatch(/^[\w-]*$/);
      expect(toBytes(text)).toEqual(bytes);
    }
  });
});

describe('what a browser is asked', () => {
  it('has bytes where the server’s words had text', () => {
    const asked = creation({
      publicKey: { challenge: 'AQID', user: { id: '_-8', name: 'n' }, excludeCredentials: [{ type: 'public-key', id: 'BA' }], rp: { id: 'h' } },
    }).publicKey;
    expect(asked?.challenge).toEqual(Uint8Array.of(1, 2, 3));
    expect(asked?.user.id).toEqual(Uint8Array.of(255, 239));
    expect(asked?.excludeCredentials?.[0]?.id).toEqual(Uint8Array.of(4));
    expect(asked?.rp.id).toBe('h');
    expect(request({ publicKey: { challenge: 'AQID', allowCredentials: [] } }).publicKey?.allowCredentials).toEqual([]);
  });
});
