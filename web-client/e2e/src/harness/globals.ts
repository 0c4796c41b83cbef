/** What runs inside the page: the element under test and the probe that reads its picture from outside. */

import type {} from 'node:test';

/** `[shown_at_ms, drawn_us, frame, serial]`: benches/driver/receiver.js. */
export type Stamp = readonly [number, number, number, number];

export interface Probe {
  readonly frames: readonly Stamp[];
  readonly shown: number;
  readonly unreadable: number;
  readonly firstFrameAt: number | undefined;
  readonly connections: readonly RTCPeerConnection[];
  readonly video: HTMLVideoElement | undefined;
  reset(): void;
  picture(width: number, height: number): number[] | undefined;
  colour(x: number, y: number, side: number): number[];
}

/** The part of `<near-frame>` that embedders use (`@nearframe/player`). */
export interface PlayerElement extends HTMLElement {
  readonly stats: {
    readonly quality?: { readonly width: number; readonly height: number; readonly fps: number; readonly limit: string } | undefined;
    readonly session?: { readonly encoder: string } | undefined;
  };
  readonly view: PlayerView;
  start(): void;
  leave(): void;
}

export interface PlayerView {
  readonly kind: 'idle' | 'starting' | 'playing' | 'reconnecting' | 'ended' | 'failed';
  readonly session?: string;
  readonly reason?: string;
  readonly message?: string;
}

declare global {
  interface Window {
    readonly nearframeProbe: Probe;
  }
  interface HTMLElementTagNameMap {
    'near-frame': PlayerElement;
  }
}
