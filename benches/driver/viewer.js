// The receiving page for Chromium's own sender: a plain <video>, asked for as little delay as ours.

const video = document.createElement('video');
Object.assign(video, { muted: true, autoplay: true, playsInline: true });
document.body.append(video);
const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
const input = connection.createDataChannel('input', { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 });
let serial = 0;

connection.ontrack = ({ track, receiver }) => {
  receiver.jitterBufferTarget = 0;
  video.srcObject = new MediaStream([track]);
  void video.play();
};

for (const type of ['keydown', 'keyup']) {
  window.addEventListener(type, () => {
    serial += 1;
    if (input.readyState === 'open') input.send(JSON.stringify({ serial, down: type === 'keydown' }));
  });
}

window.makeOffer = async () => {
  const transceiver = connection.addTransceiver('video', { direction: 'recvonly' });
  const { codecs } = RTCRtpReceiver.getCapabilities('video');
  transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => /H264|rtx/i.test(mimeType)));
  await connection.setLocalDescription(await connection.createOffer());
  if (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => {
      connection.addEventListener('icegatheringstatechange', () => connection.iceGatheringState === 'complete' && resolve());
    });
  }
  return connection.localDescription.sdp;
};

window.takeAnswer = (sdp) => connection.setRemoteDescription({ type: 'answer', sdp });
