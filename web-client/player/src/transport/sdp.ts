/** What the page asks for in its offer: codecs, header extensions, jitter buffers. Each is a wish that a browser may not know. */

/** Extensions that the node uses and that default offers lack or may drop. */
const WANTED_EXTENSIONS = ['dependency-descriptor', 'playout-delay', 'transport-wide-cc', 'color-space'];
/** How arrivals are reported, every 50 ms… */
const REPORTS = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
/** …or whenever the node asks. */
const REPORTS_ON_REQUEST = 'http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02';
/** Extensions of the short form have these numbers (RFC 8285, section 4.2). */
const EXTENSION_ID_MAX = 14;
/** Audio concealment starts below this on jittery networks; more is heard as lag. */
const AUDIO_JITTER_TARGET_MS = 20;

interface ExtensionWish {
  uri: string;
  direction: string;
}

interface ExtensionNegotiation {
  getHeaderExtensionsToNegotiate(): ExtensionWish[];
  setHeaderExtensionsToNegotiate(wishes: ExtensionWish[]): void;
}

interface DelayHints {
  jitterBufferTarget?: number | null;
  playoutDelayHint?: number | null;
}

export function negotiatesExtensions(transceiver: object): transceiver is ExtensionNegotiation {
  return 'getHeaderExtensionsToNegotiate' in transceiver && 'setHeaderExtensionsToNegotiate' in transceiver;
}

/**
 * Offers the extensions that the node uses. Without the Dependency Descriptor a browser waits for a keyframe after
 * every frame that was lost for good; default offers leave it out.
 */
export function wishForExtensions(transceiver: object): void {
  if (!negotiatesExtensions(transceiver)) return;
  const wishes = transceiver.getHeaderExtensionsToNegotiate();
  for (const wish of wishes) {
    if (WANTED_EXTENSIONS.some((name) => wish.uri.includes(name))) wish.direction = 'sendrecv';
  }
  try {
    transceiver.setHeaderExtensionsToNegotiate(wishes);
  } catch {
    // A browser that refuses its own list offers its default one.
  }
}

/** H.264, which a session begins with, first; everything else (RTX, FEC, other codecs) behind it in the browser's own order. */
export function preferH264(transceiver: RTCRtpTransceiver): void {
  if (typeof RTCRtpReceiver === 'undefined' || !('setCodecPreferences' in transceiver)) return;
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const isH264 = (codec: RTCRtpCodec): boolean => codec.mimeType.toLowerCase() === 'video/h264';
  try {
    transceiver.setCodecPreferences([...codecs.filter(isH264), ...codecs.filter((codec) => !isH264(codec))]);
  } catch {
    // A browser that refuses its own list negotiates its default order.
  }
}

/** Shows video frames as they come; gives audio just enough to be smooth. */
export function shortenJitterBuffer(receiver: object, kind: string): void {
  const hints: DelayHints = receiver;
  if (kind !== 'video') {
    if ('jitterBufferTarget' in receiver) hints.jitterBufferTarget = AUDIO_JITTER_TARGET_MS;
    return;
  }
  if ('jitterBufferTarget' in receiver) hints.jitterBufferTarget = 0;
  if ('playoutDelayHint' in receiver) hints.playoutDelayHint = 0;
}

/**
 * The offer with Opus in stereo. A browser decodes to one channel unless its own description says otherwise, and no
 * other interface has a word for it.
 */
export function withStereo(sdp: string): string {
  const opus = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/gm;
  const types = [...sdp.matchAll(opus)].map(([, type]) => type);
  return types.reduce<string>((text, type) => {
    const line = new RegExp(`^(a=fmtp:${type} )(?!.*stereo=1)(.*?)(\r?)$`, 'gm');
    return text.replace(line, '$1$2;stereo=1$3');
  }, sdp);
}

/**
 * The offer with reports on request for what is received. Chromium has them, takes them from its own description, and
 * has no other interface for them; an offer without room for one more extension stays as it is. An extension keeps its
 * number as long as the connection lives: `before` is the description that was offered last, if there was one.
 */
export function withReportsOnRequest(sdp: string, before = ''): string {
  const used = new Set([...sdp.matchAll(/^a=extmap:(\d+)/gm)].map(([, id]) => Number(id)));
  let id = requestId(sdp) ?? requestId(before) ?? EXTENSION_ID_MAX;
  if (requestId(sdp) === undefined) while (used.has(id)) id -= 1;
  if (id <= 0) return sdp;
  const sections = sdp.split(/^(?=m=)/m);
  return sections.map((section) => (/^a=recvonly\r?$/m.test(section) ? withRequests(section, id) : section)).join('');
}

/** Which number the extension has there. */
function requestId(sdp: string): number | undefined {
  const line = sdp.split(/\r?\n/).find((one) => one.startsWith('a=extmap:') && one.endsWith(` ${REPORTS_ON_REQUEST}`));
  const id = Number(/^a=extmap:(\d+)/.exec(line ?? '')?.[1]);
  return Number.isInteger(id) ? id : undefined;
}

function withRequests(section: string, id: number): string {
  if (requestId(section) !== undefined) return section;
  const line = new RegExp(`^a=extmap:\\d+ ${REPORTS.replaceAll('.', '\\.')}(\r?)$`, 'm');
  return section.replace(line, `$&\na=extmap:${id} ${REPORTS_ON_REQUEST}$1`);
}

/** Takes the wish back and makes it again: a browser that let a buffer grow starts it anew. */
export function renewJitterBuffer(receiver: object, kind: string): void {
  const hints: DelayHints = receiver;
  if ('jitterBufferTarget' in receiver) hints.jitterBufferTarget = null;
  if ('playoutDelayHint' in receiver) hints.playoutDelayHint = null;
  shortenJitterBuffer(receiver, kind);
}
