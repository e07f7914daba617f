// Watches a viewer from inside its page, and changes nothing that it does.
//
// Put into the page before any of its own scripts. It opens no connection and no channel: it stands
// behind the constructors that the page itself uses, so every viewer can be measured, also one that
// knows nothing of the bench.
//
//   RTCPeerConnection  → the connection, for getStats; its data channels by their negotiated ids:
//                        control (2) for the moment the gate opens, stats (4) for frame times
//   EventSource        → the moment the page hears that the session is ready
//   <video>            → requestVideoFrameCallback of frames shown, and their barcodes
//   window             → pointerdown, before anybody else
//
// Watching has a price: while frame callbacks are asked for, Chromium draws the page at every vsync,
// and a page that is drawn gets its touches at the vsync too, up to 17 ms later. Every frame is
// therefore watched only for as long as frames are measured; a touch is measured with nobody
// watching until the finger is down.
//
//   look 'all'     until the first readable frame, and while frame ages are measured
//   look 'answer'  from a touch to its answer
//   look 'away'    else
//
// All times are milliseconds of performance.now(); the Rust side adds performance.timeOrigin.
(() => {
  const CONTROL_ID = 2;
  const STATS_ID = 4;
  const GATE = 0x21;
  const FRAME_META = 0x32;
  const SUBSCRIBE = 0x33;
  const SUBSCRIBE_EVERY_FRAME = new Uint8Array([SUBSCRIBE, 1]);
  // Ten minutes at 60 frames a second. What comes later is not kept, and counted.
  const RECORDS_MAX = 36_000;

  const peers = [];
  const statsChannels = [];
  const seen = { ready_ms: null, gate_ms: null, first_frame: null, frames: 0, readable: 0, input: 0 };
  const record = { shown: [], taps: [], metas: [], damage: {}, overflow: 0 };
  let recording = false;
  let look = 'all';
  let tap = null;
  let waiting = null;

  function keep(list, item) {
    if (!recording) return;
    if (list.length < RECORDS_MAX) list.push(item);
    else record.overflow += 1;
  }

  function onControl(event) {
    const bytes = new Uint8Array(event.data);
    if (bytes[0] === GATE && bytes[1] === 1 && seen.gate_ms === null) seen.gate_ms = performance.now();
  }

  function onStats(event) {
    const bytes = new Uint8Array(event.data);
    if (bytes[0] === FRAME_META) keep(record.metas, farglassBarcode.hex(bytes));
  }

  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...options) {
      super(...options);
      peers.push(this);
    }

    createDataChannel(label, options) {
      const channel = super.createDataChannel(label, options);
      const listen = (handle) =>
        channel.addEventListener('message', (event) => {
          if (event.data instanceof ArrayBuffer) handle(event);
        });
      if (options?.id === CONTROL_ID) listen(onControl);
      if (options?.id === STATS_ID) {
        listen(onStats);
        statsChannels.push(channel);
        // The viewer repeats its own wish, which may be none: ours stands while it is recorded.
        const send = channel.send.bind(channel);
        channel.send = (data) => {
          const wish = ArrayBuffer.isView(data) && new Uint8Array(data.buffer, data.byteOffset)[0] === SUBSCRIBE;
          send(wish && recording ? SUBSCRIBE_EVERY_FRAME : data);
        };
      }
      return channel;
    }
  };

  globalThis.EventSource = class extends EventSource {
    constructor(...options) {
      super(...options);
      this.addEventListener('state', (event) => {
        if (seen.ready_ms === null && /"stage"\s*:\s*"ready"/.test(event.data)) {
          seen.ready_ms = performance.now();
        }
      });
    }
  };

  addEventListener(
    'pointerdown',
    (event) => {
      if (look !== 'away') return;
      tap = { at_ms: event.timeStamp, heard_ms: performance.now(), before: seen.input, shown: [] };
      keep(record.taps, tap);
      watch('answer');
    },
    { capture: true, passive: true },
  );

  // A callback that comes late finds the next picture already in the element. Pixels are therefore
  // taken together with the RTP timestamp of the picture that they belong to, and kept until that
  // picture's own callback; a picture that nobody could read any more is unread, never mixed up.
  let early = { key: null, reading: null };
  function readingOf(video, frame) {
    // The first callback can come before the element holds a picture.
    let picture;
    try {
      picture = new VideoFrame(video);
    } catch {
      return { damage: 'no picture' };
    }
    const rtp = picture.metadata?.().rtpTimestamp;
    const byRtp = rtp !== undefined && frame.rtpTimestamp !== undefined;
    const key = byRtp ? rtp : picture.timestamp;
    const wanted = byRtp ? frame.rtpTimestamp : Math.round(frame.mediaTime * 1e6);
    const last = early;
    if (key !== last.key) early = { key, reading: farglassBarcode.read(picture) };
    picture.close();
    if (wanted === early.key) return early.reading;
    if (wanted === last.key) return last.reading;
    return { damage: 'replaced before it was read' };
  }

  function onFrame(video, now, frame) {
    asked.delete(video);
    if (look === 'away') return;
    const reading = readingOf(video, frame);
    const shown = {
      display_ms: frame.expectedDisplayTime,
      received_ms: frame.receiveTime ?? null,
      presented: frame.presentedFrames,
      code: reading.bytes ? farglassBarcode.hex(reading.bytes) : null,
    };
    seen.frames += 1;
    seen.first_frame ??= shown;
    keep(tap === null ? record.shown : tap.shown, shown);
    if (reading.damage) {
      if (recording) record.damage[reading.damage] = (record.damage[reading.damage] ?? 0) + 1;
    } else {
      seen.readable += 1;
      seen.input = reading.input;
      if (tap !== null && tap.before !== seen.input) {
        tap = null;
        look = 'away';
      }
      waiting?.();
    }
    ask(video);
  }

  const videos = new Set();
  const asked = new Set();
  function ask(video) {
    if (look === 'away' || asked.has(video)) return;
    asked.add(video);
    video.requestVideoFrameCallback((...frame) => onFrame(video, ...frame));
  }
  function watch(next) {
    look = next;
    for (const video of videos) ask(video);
  }
  new MutationObserver(() => {
    for (const video of document.querySelectorAll('video')) {
      videos.add(video);
      ask(video);
    }
  }).observe(document, { childList: true, subtree: true });

  // Resolves with true when `met` holds at a readable frame, with false after `limit_ms`.
  function until(met, limit_ms) {
    return new Promise((resolve) => {
      const end = (value) => {
        clearTimeout(timer);
        waiting = null;
        resolve(value);
      };
      const timer = setTimeout(() => end(false), limit_ms);
      waiting = () => {
        if (met()) end(true);
      };
      waiting();
    });
  }

  async function inbound() {
    for (const peer of peers.toReversed()) {
      if (peer.connectionState === 'closed') continue;
      const report = await peer.getStats();
      for (const entry of report.values()) {
        if (entry.type === 'inbound-rtp' && entry.kind === 'video') {
          const codec = report.get(entry.codecId);
          const transport = report.get(entry.transportId);
          const pair = report.get(transport?.selectedCandidatePairId);
          return {
            ...entry,
            mimeType: codec?.mimeType ?? null,
            fmtp: codec?.sdpFmtpLine ?? null,
            currentRoundTripTime: pair?.currentRoundTripTime ?? null,
          };
        }
      }
    }
    return null;
  }

  globalThis.farglassBench = {
    // Waits for the first readable frame, and then looks away.
    async untilReadable(limit_ms) {
      const readable = await until(() => seen.readable > 0, limit_ms);
      look = 'away';
      return readable;
    },

    // Begins to record, with every frame watched.
    async start() {
      for (const channel of statsChannels) {
        if (channel.readyState === 'open') channel.send(SUBSCRIBE_EVERY_FRAME);
      }
      const before = await inbound();
      recording = true;
      watch('all');
      return before;
    },

    // From now on frames are only watched from a touch to its answer.
    lookAway() {
      look = 'away';
      return record.shown.length;
    },

    taps: () => record.taps.length,

    // Waits until the touch with this number has come and is answered; gives it up after the limit.
    async untilAnswered(number, limit_ms) {
      const answered = await until(() => record.taps.length >= number && tap === null, limit_ms);
      tap = null;
      look = 'away';
      return answered;
    },

    async stop() {
      const after = await inbound();
      recording = false;
      return { ...record, inbound: after };
    },

    facts() {
      const marks = performance
        .getEntriesByType('mark')
        .filter((mark) => mark.name.startsWith('farglass:'))
        .map((mark) => ({ name: mark.name, at_ms: mark.startTime }));
      return { ...seen, marks, origin_ms: performance.timeOrigin, user_agent: navigator.userAgent };
    },

    clock: () => performance.timeOrigin + performance.now(),

    // Where to tap: the middle of the largest video, in CSS pixels, and half its smaller side.
    target() {
      let best = null;
      for (const video of document.querySelectorAll('video')) {
        const box = video.getBoundingClientRect();
        if (best === null || box.width * box.height > best.width * best.height) best = box;
      }
      if (best === null) return null;
      return {
        x: best.x + best.width / 2,
        y: best.y + best.height / 2,
        reach: Math.min(best.width, best.height) / 2,
      };
    },

    // What a person would see, for an error message.
    words: () => (document.body?.innerText ?? '').trim().slice(0, 600),
  };
})();
