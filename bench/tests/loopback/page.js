// A viewer and its source in one page, joined by a real WebRTC connection on loopback.
//
// The source draws the latency target's barcode, answers a touch 40 ms later with a new input number,
// and now and then draws two frames that nobody can see. The channels are those of the gateway:
// the gate opens on `control`, and each frame's time of 250 µs is told on `stats` once subscribed to.
const WIDTH = 360;
const HEIGHT = 640;
const ANSWER_MS = 40;
const HIDDEN_EVERY = 50;
const META_BYTES = 39;
const META_RESIDENCE_AT = 35;
const RESIDENCE_US = 250;
const CELL = Math.floor(Math.min(WIDTH, HEIGHT) / 45);
const CHANNELS = [
  ['input', { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 }],
  ['control', { negotiated: true, id: 2 }],
  ['stats', { negotiated: true, id: 4, ordered: false, maxRetransmits: 0 }],
];

const video = document.getElementById('picture');
const canvas = document.createElement('canvas');
canvas.width = WIDTH;
canvas.height = HEIGHT;
const pen = canvas.getContext('2d');
let frame = 0;
let touches = 0;
const answers = [];
let subscribed = false;

function checksum(words) {
  let crc = 0xffff;
  for (const word of words) {
    for (let bit = 31; bit >= 0; bit -= 1) {
      const out = (crc >>> 15) ^ ((word >>> bit) & 1);
      crc = (crc << 1) & 0xffff;
      if (out & 1) crc ^= 0x1021;
    }
  }
  return crc;
}

function bits(words) {
  const text = words.map((word) => (word >>> 0).toString(2).padStart(32, '0')).join('');
  return text + checksum(words).toString(2).padStart(16, '0') + '00';
}

function draw() {
  while (answers.length > 0 && answers[0] <= performance.now()) {
    answers.shift();
    touches += 1;
  }
  const hidden = frame > 0 && frame % HIDDEN_EVERY === 0 ? 2 : 0;
  frame += 1 + hidden;
  const time = Math.round((performance.timeOrigin + performance.now()) * 10) % 2 ** 32;
  const data = bits([frame, touches, time]);
  pen.fillStyle = touches % 2 ? '#357' : '#753';
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  for (let row = 0; row < 3; row += 1) {
    const cells = `10${data.slice(38 * row, 38 * (row + 1))}`;
    for (let column = 0; column < 40; column += 1) {
      pen.fillStyle = cells[column] === '1' ? '#fff' : '#000';
      pen.fillRect((1 + column) * CELL, (2 + row) * CELL, CELL, CELL);
    }
  }
}

function frameMeta() {
  const view = new DataView(new ArrayBuffer(META_BYTES));
  view.setUint8(0, 0x32);
  view.setUint32(META_RESIDENCE_AT, RESIDENCE_US, true);
  return view.buffer;
}

function run(stats) {
  const next = () => {
    requestAnimationFrame(next);
    draw();
    if (subscribed && stats.readyState === 'open') stats.send(frameMeta());
  };
  next();
}

async function join() {
  const source = new RTCPeerConnection();
  const viewer = new RTCPeerConnection();
  source.onicecandidate = ({ candidate }) => viewer.addIceCandidate(candidate);
  viewer.onicecandidate = ({ candidate }) => source.addIceCandidate(candidate);
  const open = (peer) => Object.fromEntries(CHANNELS.map(([name, how]) => {
    const channel = peer.createDataChannel(name, how);
    channel.binaryType = 'arraybuffer';
    return [name, channel];
  }));
  const far = open(source);
  open(viewer);
  viewer.ontrack = ({ track }) => { video.srcObject = new MediaStream([track]); };
  far.stats.onmessage = ({ data }) => {
    const bytes = new Uint8Array(data);
    if (bytes[0] === 0x33) subscribed = bytes[1] === 1;
  };
  far.control.onopen = () => {
    far.control.send(new Uint8Array([0x21, 1]));
    run(far.stats);
  };
  source.addTrack(canvas.captureStream().getVideoTracks()[0]);
  await source.setLocalDescription();
  await viewer.setRemoteDescription(source.localDescription);
  await viewer.setLocalDescription();
  await source.setRemoteDescription(viewer.localDescription);
}

// No timer: for 100 ms after a touch Chromium puts them off.
video.addEventListener('pointerdown', () => { answers.push(performance.now() + ANSWER_MS); });
performance.mark('farglass:launch');
new EventSource('/events').addEventListener('state', () => {
  performance.mark('farglass:gate');
  void join();
}, { once: true });
