// Beside receiver.js: when the page has the first loud sample after silence, of every sound track that it receives.
// A sample counts when the block that it is in has reached the page; a block has 10 ms.

(() => {
  /** Full scale is 1; the probe's beep has 0.5, and what coding makes of silence far less. */
  const LOUD = 0.1;
  /** Silence between two beeps is longer than this, and a gap within a beep shorter. */
  const QUIET_MS = 60;
  const ONSETS_MAX = 20_000;

  const listener = { onsets: [], blocks: 0, failure: undefined, figures };
  window.nearframeListener = listener;

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = new Proxy(Connection, {
    construct(target, args) {
      const connection = new target(...args);
      connection.addEventListener('track', ({ track }) => {
        if (track.kind === 'audio') listen(track).catch((error) => { listener.failure = String(error); });
      });
      return connection;
    },
  });

  async function listen(track) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    let loudAt = -Infinity;
    for (;;) {
      const { done, value: block } = await reader.read();
      if (done) return;
      const at = performance.now();
      listener.blocks += 1;
      if (isLoud(block)) {
        if (at - loudAt > QUIET_MS && listener.onsets.length < ONSETS_MAX) listener.onsets.push(at);
        loudAt = at;
      }
      block.close();
    }
  }

  function isLoud(block) {
    const samples = new Float32Array(block.numberOfFrames);
    block.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    return samples.some((sample) => Math.abs(sample) > LOUD);
  }

  /** What the browser says of the newest connection's sound. */
  async function figures() {
    const report = await window.nearframeProbe.connections.at(-1)?.getStats();
    return [...(report?.values() ?? [])].find((row) => row.type === 'inbound-rtp' && row.kind === 'audio');
  }
})();
