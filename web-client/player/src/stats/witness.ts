/**
 * What this page counts by itself beside the node's receipts, for the matchmaker alone: a node that
 * claims more than came is found by what many pages counted (`docs/trust.md`).
 */

import { figure, type Row } from './rtc';

/** `PageCount` of the API: from the session's beginning to a receipt. */
export interface PageCount {
  readonly until_sequence: number;
  readonly elapsed_us: number;
  readonly frames: number;
  readonly bytes: number;
  readonly packets: number;
  readonly packets_lost: number;
}

type Counters = Pick<PageCount, 'frames' | 'bytes' | 'packets' | 'packets_lost'>;

const NOTHING: Counters = { frames: 0, bytes: 0, packets: 0, packets_lost: 0 };

export class Witness {
  /** The newest of each connection: each counts from zero. */
  readonly #connections = new Map<string, Counters>();

  /** `started_ms`: page clock when the session was made. */
  constructor(private readonly started_ms: number) {}

  /** Takes in a connection's report. */
  sample(connection: string, report: Iterable<Row>): void {
    this.#connections.set(connection, received(report));
  }

  /** What was counted until this receipt came. */
  count(until_sequence: number, now_ms: number): PageCount {
    const elapsed_us = Math.max(0, Math.round((now_ms - this.started_ms) * 1000));
    return { until_sequence, elapsed_us, ...[...this.#connections.values()].reduce(sum, NOTHING) };
  }
}

function sum(one: Counters, other: Counters): Counters {
  return {
    frames: one.frames + other.frames,
    bytes: one.bytes + other.bytes,
    packets: one.packets + other.packets,
    packets_lost: one.packets_lost + other.packets_lost,
  };
}

/** Picture and sound, headers and repetitions included: no less than what the node counts as sent. */
function received(report: Iterable<Row>): Counters {
  let all = NOTHING;
  for (const row of report) {
    if (row['type'] !== 'inbound-rtp') continue;
    const of = (name: string): number => Math.max(0, figure(row, name) ?? 0);
    all = sum(all, {
      frames: of('framesReceived'),
      bytes: of('bytesReceived') + of('headerBytesReceived') + of('fecBytesReceived'),
      packets: of('packetsReceived'),
      packets_lost: of('packetsLost'),
    });
  }
  return all;
}
