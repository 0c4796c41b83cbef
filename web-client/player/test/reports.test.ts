import { describe, expect, it } from 'vitest';
import { withReportsOnRequest } from '../src/transport/sdp';

const REPORTS = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
const ON_REQUEST = 'http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02';

const section = (kind: string, direction: string, ids: readonly number[]): string[] => [
  `m=${kind} 9 UDP/TLS/RTP/SAVPF 96`,
  ...ids.map((id) => `a=extmap:${id} ${id === 3 ? REPORTS : `urn:x:${id}`}`),
  `a=${direction}`,
];

describe('reports on request', () => {
  it('are added under one free number to what is received, and to nothing else', () => {
    const offer = ['v=0', ...section('video', 'recvonly', [1, 3, 14]), ...section('audio', 'recvonly', [3]), ...section('audio', 'sendonly', [3]), ''];
    const lines = withReportsOnRequest(offer.join('\r\n')).split('\r\n');
    const added = lines.flatMap((line, at) => (line === `a=extmap:13 ${ON_REQUEST}` ? [at] : []));
    expect(added.map((at) => lines[at - 1])).toEqual([`a=extmap:3 ${REPORTS}`, `a=extmap:3 ${REPORTS}`]);
    expect(lines.filter((_, at) => !added.includes(at))).toEqual(offer);
    expect(added.every((at) => at < lines.lastIndexOf('m=audio 9 UDP/TLS/RTP/SAVPF 96'))).toBe(true);
  });

  it('keep their number in every later offer, whether or not the browser repeats them', () => {
    const first = withReportsOnRequest(['v=0', ...section('video', 'recvonly', [3]), ...section('audio', 'recvonly', [3]), ''].join('\r\n'));
    expect(withReportsOnRequest(first, first)).toBe(first);
    const half = first.replace(`a=extmap:14 ${ON_REQUEST}\r\n`, '');
    expect(withReportsOnRequest(half, first)).toBe(first);
    const fewer = ['v=0', ...section('video', 'recvonly', [3]), ''].join('\r\n');
    const at12 = withReportsOnRequest(['v=0', ...section('video', 'recvonly', [3, 13, 14]), ''].join('\r\n'));
    expect(withReportsOnRequest(fewer, at12)).toContain(`a=extmap:12 ${ON_REQUEST}`);
  });

  it('leave an offer alone that has no number free or no reports', () => {
    const full = ['v=0', ...section('video', 'recvonly', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]), ''].join('\r\n');
    const bare = ['v=0', ...section('video', 'recvonly', [1]), ''].join('\r\n');
    expect(withReportsOnRequest(full)).toBe(full);
    expect(withReportsOnRequest(bare)).toBe(bare);
  });
});
