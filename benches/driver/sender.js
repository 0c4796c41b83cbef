// Chromium as a game server: draws the testcard on every animation frame and sends it as H.264.

import { Card } from './card.js';

const SEED = 1;
const canvas = document.createElement('canvas');
canvas.width = 1280;
canvas.height = 720;
document.body.append(canvas);
const card = await Card.make(canvas, SEED);
let serial = 0;

/** Mean difference per channel between the drawing at `step` and BGRA pixels, below the stamp. */
window.compareCard = (step, base64) => {
  const wanted = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  card.draw(step, 0, 0);
  const { data } = canvas.getContext('2d').getImageData(0, 0, 1280, 720);
  const from = 48 * 1280 * 4;
  let sum = 0;
  for (let i = from; i < data.length; i += 4) {
    sum += Math.abs(data[i] - wanted[i + 2]) + Math.abs(data[i + 1] - wanted[i + 1]) + Math.abs(data[i + 2] - wanted[i]);
  }
  return sum / (((data.length - from) / 4) * 3);
};

/** Answers the viewer's offer with the canvas, capped at `bps`, and starts to draw. */
window.answerOffer = async (sdp, bps) => {
  const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const input = connection.createDataChannel('input', { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 });
  input.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    serial = Math.max(serial, message.serial);
    card.press(message.down);
  };
  const [track] = canvas.captureStream(60).getVideoTracks();
  track.contentHint = 'motion';
  await connection.setRemoteDescription({ type: 'offer', sdp });
  const sender = connection.addTrack(track, new MediaStream([track]));
  const answer = await connection.createAnswer();
  await connection.setLocalDescription(answer);
  await gathered(connection);
  const parameters = sender.getParameters();
  parameters.degradationPreference = 'maintain-resolution';
  for (const encoding of parameters.encodings) Object.assign(encoding, { maxBitrate: bps, maxFramerate: 60 });
  await sender.setParameters(parameters);
  draw(0);
  return connection.localDescription.sdp;
};

function draw(step) {
  requestAnimationFrame(() => draw(step + 1));
  // CLOCK_MONOTONIC, as the node's clock: `monotonicOrigin` is this page's time origin on it.
  card.draw(step, Math.floor((window.monotonicOrigin + performance.now()) * 1000), serial);
}

function gathered(connection) {
  if (connection.iceGatheringState === 'complete') return Promise.resolve();
  return new Promise((resolve) => {
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    });
  });
}
