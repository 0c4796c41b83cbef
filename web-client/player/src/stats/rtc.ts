/** `getStats` once a second, reduced to what the statistics show. Browsers lack different fields: each is optional. */

export interface RtcFigures {
  /** Received video, over the last second. */
  readonly bitrate_bps: number | undefined;
  readonly fps_decoded: number | undefined;
  readonly jitter_buffer_ms: number | undefined;
  readonly decode_ms: number | undefined;
  /** Share of video packets lost, 0..1, over the last second. */
  readonly loss: number | undefined;
  readonly rtt_ms: number | undefined;
  readonly freezes: number | undefined;
  readonly nacks: number | undefined;
  readonly plis: number | undefined;
  readonly codec: string | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** How the chosen path runs, such as `udp host` or `tcp relay`. */
  readonly path: string | undefined;
  /** What the page's packets travel in: as far as the relay, where there is one. */
  readonly transport: 'udp' | 'tcp' | 'tls' | undefined;
  /** Whether a relay stands between page and node. */
  readonly relayed: boolean | undefined;
  /** Mean time that sound spends in its jitter buffer and on its way to the speaker. */
  readonly sound_delay_ms: number | undefined;
  /** Everything received and sent over the last second. */
  readonly used_bytes: number | undefined;
}

/** Counters of the second before, to take differences from. */
export interface RtcCounters {
  readonly at_ms: number;
  readonly bytes: number;
  readonly received: number;
  readonly lost: number;
  readonly decoded: number;
  readonly decode_s: number;
  readonly buffered_s: number;
  readonly emitted: number;
  readonly used: number;
  readonly sound: SoundCounters;
}

interface SoundCounters {
  readonly buffered_s: number;
  readonly emitted: number;
  readonly played_s: number;
  readonly played: number;
}

export type Row = Readonly<Record<string, unknown>>;

export function figure(row: Row | undefined, field: string): number | undefined {
  const value = row?.[field];
  return typeof value === 'number' ? value : undefined;
}

function word(row: Row | undefined, field: string): string | undefined {
  const value = row?.[field];
  return typeof value === 'string' ? value : undefined;
}

interface Rows {
  readonly video: Row | undefined;
  readonly audio: Row | undefined;
  readonly pair: Row | undefined;
  readonly playout: Row | undefined;
  readonly transport: Row | undefined;
  readonly byId: ReadonlyMap<string, Row>;
}

function pick(rows: Iterable<Row>): Rows {
  const byId = new Map<string, Row>();
  let video: Row | undefined;
  let audio: Row | undefined;
  let pair: Row | undefined;
  let playout: Row | undefined;
  let transport: Row | undefined;
  for (const row of rows) {
    byId.set(String(row['id']), row);
    if (row['type'] === 'inbound-rtp' && row['kind'] === 'video') video = row;
    if (row['type'] === 'inbound-rtp' && row['kind'] === 'audio') audio = row;
    if (row['type'] === 'media-playout') playout = row;
    if (row['type'] === 'transport') transport = row;
    if (row['type'] === 'candidate-pair' && row['nominated'] === true && row['state'] === 'succeeded') pair = row;
  }
  // Several pairs may be nominated; where the browser says which one it uses, that counts.
  const selected = byId.get(word(transport, 'selectedCandidatePairId') ?? '');
  return { video, audio, pair: selected ?? pair, playout, transport, byId };
}

/** Reads a report; `before` are the counters of the previous call, absent the first time. */
export function readRtc(report: Iterable<Row>, before: RtcCounters | undefined): [RtcFigures, RtcCounters] {
  const rows = pick(report);
  const { video, pair, byId } = rows;
  const now = countersOf(rows);
  const since = before ?? now;
  const per = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined);
  const seconds = (now.at_ms - since.at_ms) / 1000;
  const received = now.received - since.received;
  const lost = Math.max(0, now.lost - since.lost);
  const rtt_s = figure(pair, 'currentRoundTripTime');
  const figures: RtcFigures = {
    bitrate_bps: per((now.bytes - since.bytes) * 8, seconds),
    fps_decoded: per(now.decoded - since.decoded, seconds),
    jitter_buffer_ms: scale(per(now.buffered_s - since.buffered_s, now.emitted - since.emitted)),
    decode_ms: scale(per(now.decode_s - since.decode_s, now.decoded - since.decoded)),
    loss: per(lost, received + lost),
    rtt_ms: scale(rtt_s),
    freezes: figure(video, 'freezeCount'),
    nacks: figure(video, 'nackCount'),
    plis: figure(video, 'pliCount'),
    codec: word(byId.get(word(video, 'codecId') ?? ''), 'mimeType')?.replace('video/', ''),
    width: figure(video, 'frameWidth'),
    height: figure(video, 'frameHeight'),
    sound_delay_ms: soundDelay(now.sound, since.sound),
    used_bytes: before === undefined ? undefined : Math.max(0, now.used - since.used),
    ...pathOf(rows),
  };
  return [figures, now];
}

function pathOf({ pair, byId }: Rows): Pick<RtcFigures, 'path' | 'transport' | 'relayed'> {
  const local = byId.get(word(pair, 'localCandidateId') ?? '');
  const remote = word(byId.get(word(pair, 'remoteCandidateId') ?? ''), 'candidateType');
  const own = word(local, 'candidateType') === 'relay';
  const name = (own ? word(local, 'relayProtocol') : undefined) ?? word(local, 'protocol');
  const transport = (['udp', 'tcp', 'tls'] as const).find((known) => known === name);
  if (transport === undefined) return { path: undefined, transport, relayed: undefined };
  const relayed = own || remote === 'relay';
  return { path: `${transport} ${relayed ? 'relay' : (remote ?? '')}`.trim(), transport, relayed };
}

function soundDelay(now: SoundCounters, since: SoundCounters): number | undefined {
  const emitted = now.emitted - since.emitted;
  if (emitted <= 0) return undefined;
  const played = now.played - since.played;
  const speaker_s = played > 0 ? (now.played_s - since.played_s) / played : 0;
  return ((now.buffered_s - since.buffered_s) / emitted + speaker_s) * 1000;
}

function scale(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function countersOf({ video, audio, pair, playout, transport }: Rows): RtcCounters {
  const whole = [transport, pair].find((row) => figure(row, 'bytesReceived') !== undefined) ?? video;
  return {
    at_ms: figure(video, 'timestamp') ?? 0,
    bytes: (figure(video, 'bytesReceived') ?? 0) + (figure(video, 'headerBytesReceived') ?? 0),
    received: figure(video, 'packetsReceived') ?? 0,
    lost: figure(video, 'packetsLost') ?? 0,
    decoded: figure(video, 'framesDecoded') ?? 0,
    decode_s: figure(video, 'totalDecodeTime') ?? 0,
    buffered_s: figure(video, 'jitterBufferDelay') ?? 0,
    emitted: figure(video, 'jitterBufferEmittedCount') ?? 0,
    used: (figure(whole, 'bytesReceived') ?? 0) + (figure(whole, 'bytesSent') ?? 0),
    sound: {
      buffered_s: figure(audio, 'jitterBufferDelay') ?? 0,
      emitted: figure(audio, 'jitterBufferEmittedCount') ?? 0,
      played_s: figure(playout, 'totalPlayoutDelay') ?? 0,
      played: figure(playout, 'totalSamplesCount') ?? 0,
    },
  };
}
