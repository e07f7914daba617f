// Reads the latency target's barcode out of a picture of a playing <video>.
//
// The strip of the picture that holds the code is drawn, without smoothing, into a canvas of
// 40 × 3 pixels: one pixel for each cell, taken from the middle of the cell. That keeps the read-back
// at 480 bytes a frame, so that reading disturbs the timing as little as it can.
//
//   cell = floor(min(w, h) / 45), left = cell, top = 2 · cell
//   row r:  [0] white  [1] black  [2..40] 38 data bits, most significant first, white = 1
//   data :  frame u32 · input u32 · time u32 · crc16 (CCITT-FALSE over the 12 bytes) · 2 zero bits
//
// A code that cannot be read is reported as such (why, and how often), never guessed.
// Rust decodes the fields again from the same bytes; here only the checksum and the input's number
// are looked at, because the bench waits on the number in the page.
(() => {
  const ROWS = 3;
  const COLUMNS = 40;
  const BYTES = 15;
  // A white cell must be this much brighter than a black one (of 255), or it is no barcode.
  const CONTRAST_MIN = 60;

  const canvas = document.createElement('canvas');
  canvas.width = COLUMNS;
  canvas.height = ROWS;
  const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });

  function strip(width, height) {
    const cell = Math.floor(Math.min(width, height) / 45);
    return { x: cell, y: 2 * cell, width: COLUMNS * cell, height: ROWS * cell };
  }

  function crc16(bytes, length) {
    let crc = 0xffff;
    for (let i = 0; i < length; i += 1) {
      crc ^= bytes[i] << 8;
      for (let bit = 0; bit < 8; bit += 1) {
        crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
      }
    }
    return crc;
  }

  // Returns {bytes, input} or {damage: 'no picture' | 'no contrast' | 'checksum'}.
  function decode(pixels) {
    const bytes = new Uint8Array(BYTES);
    let bit = 0;
    for (let row = 0; row < ROWS; row += 1) {
      const at = (column) => pixels[4 * (row * COLUMNS + column) + 1];
      const white = at(0);
      const black = at(1);
      if (white - black < CONTRAST_MIN) return { damage: 'no contrast' };
      const middle = (white + black) / 2;
      for (let column = 2; column < COLUMNS; column += 1, bit += 1) {
        if (at(column) > middle) bytes[bit >> 3] |= 0x80 >> (bit & 7);
      }
    }
    if (crc16(bytes, 12) !== ((bytes[12] << 8) | bytes[13]) || bytes[14] !== 0) {
      return { damage: 'checksum' };
    }
    const input = ((bytes[4] << 24) | (bytes[5] << 16) | (bytes[6] << 8) | bytes[7]) >>> 0;
    return { bytes, input };
  }

  // Reads a VideoFrame.
  function read(picture) {
    const from = strip(picture.displayWidth, picture.displayHeight);
    if (from.width === 0) return { damage: 'no picture' };
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, from.x, from.y, from.width, from.height, 0, 0, COLUMNS, ROWS);
    return decode(context.getImageData(0, 0, COLUMNS, ROWS).data);
  }

  function hex(bytes) {
    let text = '';
    for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
    return text;
  }

  globalThis.farglassBarcode = { read, hex };
})();
