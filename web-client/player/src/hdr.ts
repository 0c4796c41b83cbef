/** Whether this device shows HDR10: its display, and the browser's way from the decoder to it. */

import type { Picture } from './decoders';
import type { Scope } from './scope';

/** The display can be brighter than white, for video or for everything, and shows more colours than those of BT.709. */
const HIGH_RANGE = ['(dynamic-range: high)', '(video-dynamic-range: high)'] as const;
/** Displays of HDR10 come near to this gamut and none fills BT.2020; one that does fills this too. */
const WIDE_GAMUT = '(color-gamut: p3)';
/** Main 10, main tier, level 5.1: what a node sends at most in practice. */
const HEVC_MAIN_10 = 'video/mp4; codecs="hvc1.2.4.L153.B0"';
/** Bits a second that are asked about. */
const ASKED_BPS = 8_000_000;

function matches(query: string): boolean {
  return typeof matchMedia === 'function' && matchMedia(query).matches;
}

export function showsHdr(): boolean {
  return HIGH_RANGE.some(matches) && matches(WIDE_GAMUT);
}

/** Calls when the page comes to a display of another range, or the player switches it. */
export function watchDisplay(scope: Scope, changed: () => void): void {
  if (typeof matchMedia !== 'function') return;
  for (const query of [...HIGH_RANGE, WIDE_GAMUT]) scope.listen(matchMedia(query), 'change', changed);
}

/**
 * Whether the browser takes PQ in BT.2020 with the metadata of HDR10 from its decoder of HEVC. Colours may be asked about for
 * files and media sources alone (Media Capabilities, section 2.1.2), not for WebRTC, where the same decoder works; whether that
 * keeps up is asked apart.
 */
export async function takesHdr10({ width, height, fps }: Picture): Promise<boolean> {
  const video = {
    contentType: HEVC_MAIN_10,
    width,
    height,
    framerate: fps,
    bitrate: ASKED_BPS,
    hdrMetadataType: 'smpteSt2086',
    colorGamut: 'rec2020',
    transferFunction: 'pq',
  } as const;
  try {
    const { supported } = await navigator.mediaCapabilities.decodingInfo({ type: 'media-source', video });
    return supported;
  } catch {
    return false;
  }
}
