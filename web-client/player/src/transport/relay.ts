/**
 * Relays that answer by UDP. A browser offered one relay by several ways begins on the way that answers first,
 * stops looking, and stays: a player whose UDP is open can be left on TCP.
 */

import type { Scope } from '../scope';

/** What does not answer within this is not there: browsers ask for longer, for a path that nobody waits for. */
const ANSWER_LIMIT_MS = 5_000;

/** What of these servers is reached by UDP (RFC 7065: `turn:` without `transport` is). */
export function byUdp(servers: readonly RTCIceServer[]): RTCIceServer[] {
  return servers.flatMap((server) => {
    const urls = [server.urls].flat().filter((url) => !url.startsWith('turns:') && !/[?&]transport=tcp\b/i.test(url));
    return urls.length > 0 ? [{ ...server, urls }] : [];
  });
}

/** Whether a relay answers by UDP, asked on a connection of its own that carries nothing. */
export async function answersByUdp(scope: Scope, servers: readonly RTCIceServer[]): Promise<boolean> {
  const iceServers = byUdp(servers);
  if (iceServers.length === 0 || scope.closed) return false;
  const own = scope.child();
  const asking = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
  own.add(() => asking.close());
  const answered = new Promise<boolean>((resolve) => {
    own.add(() => resolve(false));
    own.listen<RTCPeerConnectionIceEvent>(asking, 'icecandidate', ({ candidate }) => resolve(candidate?.type === 'relay'));
    own.timeout(ANSWER_LIMIT_MS, () => resolve(false));
  });
  asking.createDataChannel('');
  await asking.setLocalDescription().catch(() => own.close());
  const answers = await answered;
  own.close();
  return answers;
}
