import { describe, expect, it } from 'vitest';
import { Cover } from '../src/session/cover';

const frame = (at_ms: number, rtp_timestamp?: number): Parameters<Cover['hides']>[0] => ({
  at_ms,
  rtp_timestamp,
  wait_us: undefined,
  decode_us: undefined,
});

describe('the loading screen before a session’s first frames', () => {
  it('stays until the frame that the node names', () => {
    const cover = new Cover(true);
    expect(cover.hides(frame(0, 4_294_966_000))).toBe(true);
    cover.begins(200);
    expect(cover.hides(frame(16, 4_294_967_000))).toBe(true);
    expect(cover.hides(frame(33, 200))).toBe(false);
    expect(cover.hides(frame(50, 100))).toBe(false);
  });

  it('goes at once where the node has no challenge, or the browser does not tell frames apart', () => {
    const plain = new Cover(true);
    plain.begins(undefined);
    expect(plain.hides(frame(0, 7))).toBe(false);
    const blind = new Cover(true);
    expect(blind.hides(frame(0))).toBe(true);
    blind.begins(90);
    expect(blind.hides(frame(16))).toBe(false);
  });

  it('never stays for long, and is not there for a page that comes later', () => {
    const silent = new Cover(true);
    expect(silent.hides(frame(1_000, 1))).toBe(true);
    expect(silent.hides(frame(2_501, 2))).toBe(false);
    expect(new Cover(false).hides(frame(0, 1))).toBe(false);
  });
});
