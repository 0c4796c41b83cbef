// Beside receiver.js: a page that receives its video but decodes next to nothing, so that many pages fit beside the
// sessions that are measured. Every frame arrives, is acknowledged and counted as ever; before it is decoded, its
// data are replaced by a keyframe of 64 × 64 black pixels. Without a decoded frame the browser would ask for
// keyframes all the time.

(() => {
  const SIDE = 64;

  async function tinyKeyframe() {
    let made;
    const encoder = new VideoEncoder({
      output: (chunk) => {
        made = new Uint8Array(chunk.byteLength);
        chunk.copyTo(made);
      },
      error: (error) => console.error(error),
    });
    encoder.configure({
      codec: 'avc1.42001f', width: SIDE, height: SIDE, latencyMode: 'realtime', avc: { format: 'annexb' },
    });
    const frame = new VideoFrame(new Uint8Array(SIDE * SIDE * 4), { format: 'BGRX', codedWidth: SIDE, codedHeight: SIDE, timestamp: 0 });
    encoder.encode(frame, { keyFrame: true });
    await encoder.flush();
    frame.close();
    encoder.close();
    return made.buffer;
  }

  /** Made when there is something to receive: the empty page that a tab begins with has no encoder. */
  let tiny;

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = new Proxy(Connection, {
    construct(target, [config, ...rest]) {
      tiny ??= tinyKeyframe();
      const connection = new target({ ...config, encodedInsertableStreams: true }, ...rest);
      connection.addEventListener('track', ({ track, receiver }) => {
        const { readable, writable } = receiver.createEncodedStreams();
        const transform = async (frame, controller) => {
          frame.data = (await tiny).slice(0);
          controller.enqueue(frame);
        };
        const lighter = track.kind === 'video' ? readable.pipeThrough(new TransformStream({ transform })) : readable;
        lighter.pipeTo(writable).catch(() => {});
      });
      return connection;
    },
  });
})();
