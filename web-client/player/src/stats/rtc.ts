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
}

type Row = Readonly<Record<string, unknown>>;

function figure(row: Row | undefined, field: string): number | undefined {
  const value = row?.[field];
  return typeof value === 'number' ? value : undefined;
}

function word(row: Row | undefined, field: string): string | undefined {
  const value = row?.[field];
  return typeof value === 'string' ? value : undefined;
}

interface Rows {
  readonly video: Row | undefined;
  readonly pair: Row | undefined;
  readonly byId: ReadonlyMap<string, Row>;
}

function pick(rows: Iterable<Row>): Rows {
  const byId = new Map<string, Row>();
  let video: Row | undefined;
  let pair: Row | undefined;
  for (const row of rows) {
    byId.set(String(row['id']), row);
    if (row['type'] === 'inbound-rtp' && row['kind'] === 'video') video = row;
    if (row['type'] === 'candidate-pair' && row['nominated'] === true && row['state'] === 'succeeded') pair = row;
  }
  return { video, pair, byId };
}

/** Reads a report; `before` are the counters of the previous call, absent the first time. */
export function readRtc(report: Iterable<Row>, before: RtcCounters | undefined): [RtcFigures, RtcCounters] {
  const { video, pair, byId } = pick(report);
  const now = countersOf(video);
  const since = before ?? now;
  const per = (part: number, whole: number): number | undefined => (whole > 0 ? part / whole : undefined);
  const seconds = (now.at_ms - since.at_ms) / 1000;
  const received = now.received - since.received;
  const lost = Math.max(0, now.lost - since.lost);
  const rtt_s = figure(pair, 'currentRoundTripTime');
  const local = byId.get(word(pair, 'localCandidateId') ?? '');
  const remote = byId.get(word(pair, 'remoteCandidateId') ?? '');
  const protocol = word(local, 'protocol');
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
    path: protocol === undefined ? undefined : `${protocol} ${word(remote, 'candidateType') ?? ''}`.trim(),
  };
  return [figures, now];
}

function scale(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function countersOf(video: Row | undefined): RtcCounters {
  return {
    at_ms: figure(video, 'timestamp') ?? 0,
    bytes: (figure(video, 'bytesReceived') ?? 0) + (figure(video, 'headerBytesReceived') ?? 0),
    received: figure(video, 'packetsReceived') ?? 0,
    lost: figure(video, 'packetsLost') ?? 0,
    decoded: figure(video, 'framesDecoded') ?? 0,
    decode_s: figure(video, 'totalDecodeTime') ?? 0,
    buffered_s: figure(video, 'jitterBufferDelay') ?? 0,
    emitted: figure(video, 'jitterBufferEmittedCount') ?? 0,
  };
}
