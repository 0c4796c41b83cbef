// What a measuring page runs before the page's own scripts: reads the testcard's stamp out of every
// frame that the display takes, and keeps what the connection says of itself. It knows nothing of the
// page it runs in: it finds the picture through `srcObject` and the connection through the constructor,
// so that our own page and Chromium's own sender are measured by the very same code.
//
// Times are `performance.now()` in ms. The stamp's layout: server/title/src/stamp.rs.

(() => {
  const BLOCKS = 64;
  const ROWS = 2;
  /** Blocks across a whole picture: 16 px each at 1280. A picture of another size is a scaled one. */
  const BLOCKS_ACROSS = 80;
  /** Difference of luma that coding does not make. */
  const CONTRAST = 24;
  /** Half an hour at 60 per second. */
  const SAMPLES_MAX = 108_000;

  const probe = {
    /**
     * `[shown_at, drawn_us, frame, serial]` of every frame seen with a whole stamp. A callback may come when
     * the next frame already lies under it; each frame counts where it was first seen.
     */
    frames: [],
    /** `[drawn_us, received_at, decoded_at, refreshed_at, shown_at]` of those of them of which the browser tells. */
    steps: [],
    /** Frames shown in all, and those without a readable stamp. */
    shown: 0,
    unreadable: 0,
    /** Since when all of this counts. */
    since: 0,
    /** When the first frame was shown. */
    firstFrameAt: undefined,
    /** When the first frame was shown that is not one colour all over. */
    firstPictureAt: undefined,
    /** `[handled_at, event_at, code, down]` for every key event. */
    keys: [],
    /** `[captured_us, size_bytes, target_kbps]` as the node's facts say, for every frame sent. */
    sent: [],
    /** `[captured_us, drawn_us, converted_us, encoded_us, sent_us]` as the facts say, each counted from the first. */
    traces: [],
    /** Frames that facts came of, since the page was opened. */
    frameCount: 0,
    /** Every connection made, newest last. */
    connections: [],
    /** The element that shows the picture. */
    video: undefined,
    reset,
    picture,
    colour,
    figures,
  };
  window.nearframeProbe = probe;

  function reset() {
    probe.since = performance.now();
    probe.frames = [];
    probe.shown = 0;
    probe.unreadable = 0;
    probe.keys = [];
    probe.sent = [];
    probe.steps = [];
    probe.traces = [];
  }

  function crc16(bytes) {
    let crc = 0xffff;
    for (const byte of bytes) {
      crc ^= byte << 8;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    return crc;
  }

  /**
   * `[drawn_us, frame, serial]` of the frame that lies under `video` now; `undefined` where the checksum does
   * not fit. Only the luma of the stamp is copied: reading through a canvas converts the whole picture and
   * takes a fifth of the time between two frames, which is then missing where it is measured.
   */
  async function readStamp(video) {
    const frame = new VideoFrame(video);
    const block = frame.visibleRect.width / BLOCKS_ACROSS;
    const even = (value) => Math.floor(value / 2) * 2;
    // From the middle of the upper row of blocks to the middle of the lower one.
    const rect = { x: 0, y: even(block / 2), width: even(BLOCKS * block), height: even(block) + 2 };
    try {
      const copy = new Uint8Array(frame.allocationSize({ rect }));
      const [luma] = await frame.copyTo(copy, { rect });
      return decode((bit) => {
        const row = bit < BLOCKS ? 0 : rect.height - 2;
        return copy[luma.offset + row * luma.stride + Math.floor(((bit % BLOCKS) + 0.5) * block)];
      });
    } finally {
      frame.close();
    }
  }

  function decode(lumaOf) {
    const bytes = new Uint8Array(16);
    for (let bit = 0; bit < BLOCKS * ROWS; bit += 1) {
      if (lumaOf(bit) > 127) bytes[bit >> 3] |= 1 << (bit & 7);
    }
    const view = new DataView(bytes.buffer);
    if (view.getUint16(14, true) !== crc16(bytes.subarray(0, 14))) return undefined;
    return [view.getUint32(0, true) + view.getUint16(4, true) * 2 ** 32, view.getUint32(6, true), view.getUint32(10, true)];
  }

  /** Our page keeps its loading screen before the frames that answer its session's challenge: nobody sees those. */
  function isCovered(video) {
    const player = video.getRootNode().host;
    return typeof player?.debug === 'function' && player.debug().first_frame_ms === undefined;
  }

  function observe(video) {
    if (probe.video === video) return;
    probe.video = video;
    const onFrame = (refreshed_at, meta) => {
      const at = performance.now();
      if (probe.video !== video) return;
      video.requestVideoFrameCallback(onFrame);
      if (isCovered(video)) return;
      probe.firstFrameAt ??= at;
      probe.shown += 1;
      if (probe.firstPictureAt === undefined) void hasPicture(video).then((has) => has && (probe.firstPictureAt ??= at));
      const { since } = probe;
      void readStamp(video).then((stamp) => {
        if (probe.since === since) note(at, stamp, refreshed_at, meta);
      });
    };
    video.requestVideoFrameCallback(onFrame);
  }

  /** Whether the frame that lies under `video` now is more than one colour: every 16th row and pixel of its luma. */
  async function hasPicture(video) {
    const frame = new VideoFrame(video);
    try {
      const { width, height } = frame.codedRect;
      const copy = new Uint8Array(frame.allocationSize({ rect: frame.codedRect }));
      const [luma] = await frame.copyTo(copy, { rect: frame.codedRect });
      let [least, most] = [255, 0];
      for (let y = 8; y < height; y += 16) {
        for (let x = 8; x < width; x += 16) {
          const level = copy[luma.offset + y * luma.stride + x];
          least = Math.min(least, level);
          most = Math.max(most, level);
        }
      }
      return most - least > CONTRAST;
    } finally {
      frame.close();
    }
  }

  function note(at, stamp, refreshed_at, { receiveTime, processingDuration }) {
    if (stamp === undefined) {
      probe.unreadable += 1;
      return;
    }
    if (probe.frames.length >= SAMPLES_MAX || probe.frames.at(-1)?.[2] === stamp[1]) return;
    probe.frames.push([at, ...stamp]);
    if (receiveTime === undefined || processingDuration === undefined) return;
    probe.steps.push([stamp[0], receiveTime, receiveTime + processingDuration * 1000, refreshed_at, at]);
  }

  const media = HTMLMediaElement.prototype;
  const srcObject = Object.getOwnPropertyDescriptor(media, 'srcObject');
  Object.defineProperty(media, 'srcObject', {
    ...srcObject,
    set(stream) {
      srcObject.set.call(this, stream);
      if (this instanceof HTMLVideoElement && stream) observe(this);
    },
  });

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = new Proxy(Connection, {
    construct(target, args) {
      const connection = new target(...args);
      probe.connections.push(connection);
      return connection;
    },
  });

  /** Data channel 1, message kind 1: protocol/src/facts.rs. */
  const createDataChannel = Connection.prototype.createDataChannel;
  Connection.prototype.createDataChannel = function (label, options) {
    const channel = createDataChannel.call(this, label, options);
    if (options?.negotiated && options.id === 1) channel.addEventListener('message', ({ data }) => readFacts(data));
    return channel;
  };

  function readFacts(data) {
    if (!(data instanceof ArrayBuffer) || data.byteLength !== 48) return;
    const view = new DataView(data);
    if (view.getUint8(0) !== 1 || view.getUint8(1) !== 1) return;
    probe.frameCount += 1;
    if (probe.sent.length >= SAMPLES_MAX) return;
    const captured_us = Number(view.getBigUint64(8, true));
    probe.sent.push([captured_us, view.getUint32(28, true), view.getUint32(24, true)]);
    probe.traces.push([captured_us, ...[32, 36, 40, 44].map((at) => view.getUint32(at, true))]);
  }

  for (const [type, down] of [['keydown', true], ['keyup', false]]) {
    const note = (event) => probe.keys.push([performance.now(), event.timeStamp, event.code, down]);
    window.addEventListener(type, note, { capture: true });
  }

  /** The picture of this moment, scaled down: RGB rows. */
  function picture(width, height) {
    if (!probe.video?.videoWidth) return undefined;
    const small = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    small.drawImage(probe.video, 0, 0, width, height);
    const { data } = small.getImageData(0, 0, width, height);
    return Array.from({ length: width * height * 3 }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)]);
  }

  /** Mean colour of the square of `side` px around a place of the picture, in the picture's own px. */
  function colour(x, y, side) {
    const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    pixel.drawImage(probe.video, x - side / 2, y - side / 2, side, side, 0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data.subarray(0, 3)];
  }

  /** What the browser says of the newest connection's video. */
  async function figures() {
    const report = await probe.connections.at(-1)?.getStats();
    const rows = [...(report?.values() ?? [])];
    return rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'video');
  }
})();
