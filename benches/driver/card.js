// The testcard drawn by a page: the picture of server/title/src/testcard/picture.rs with nothing held,
// pixel for pixel, so that Chromium's own sender has the same work. peer.mjs checks it against frames
// of the original.

const WIDTH = 1280;
const HEIGHT = 720;
const PERIOD = 1024;
const BAND_SPEEDS = [1, 3, 5, 8];
const OCTAVES = [[64, 60], [16, 40], [4, 24]];
const BOXES = 10;
const PLATE = Math.min(Math.floor(HEIGHT / 4), Math.floor(WIDTH / 4));
/** The plate turns by 6 of 256 a frame: it is back after this many. */
const PLATE_TURNS = 128;
const FLASH_FRAMES = 8;
const BLOCK = Math.max(4, Math.floor(WIDTH / 80));

const rgb = ([b, g, r]) => `rgb(${r} ${g} ${b})`;

/** SplitMix64, as server/title/src/rng.rs. */
function splitMix(seed) {
  const wrap = (value) => BigInt.asUintN(64, value);
  let state = BigInt(seed);
  const bits = () => {
    state = wrap(state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = wrap((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = wrap((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  return (n) => Number(((bits() >> 32n) * BigInt(n)) >> 32n);
}

/** The noise, `(WIDTH + PERIOD) × HEIGHT`. */
function texture(seed) {
  const below = splitMix(seed);
  const relief = new Int32Array(PERIOD * HEIGHT);
  for (const [cell, amplitude] of OCTAVES) {
    const columns = PERIOD / cell;
    const rows = Math.floor(HEIGHT / cell) + 2;
    const grid = Int32Array.from({ length: columns * rows }, () => below(256) - 128);
    for (let i = 0; i < relief.length; i += 1) {
      const [x, y] = [i % PERIOD, Math.floor(i / PERIOD)];
      const [gx, gy, fx, fy] = [Math.floor(x / cell), Math.floor(y / cell), x % cell, y % cell];
      const corner = (dx, dy) => grid[(gy + dy) * columns + ((gx + dx) % columns)];
      const upper = corner(0, 0) * (cell - fx) + corner(1, 0) * fx;
      const lower = corner(0, 1) * (cell - fx) + corner(1, 1) * fx;
      const mean = Math.trunc((upper * (cell - fy) + lower * fy) / (cell * cell));
      relief[i] += Math.trunc((mean * amplitude) / 128);
    }
  }
  const image = new ImageData(WIDTH + PERIOD, HEIGHT);
  for (let y = 0; y < HEIGHT; y += 1) {
    const warm = Math.floor((y * 80) / HEIGHT) - 40;
    for (let x = 0; x < WIDTH + PERIOD; x += 1) {
      const level = relief[y * PERIOD + (x % PERIOD)];
      const at = (y * (WIDTH + PERIOD) + x) * 4;
      const channel = (tint) => Math.min(255, Math.max(0, 120 + level + tint));
      image.data.set([channel(warm), channel(Math.trunc(level / 4)), channel(-warm), 255], at);
    }
  }
  return image;
}

function plates() {
  const wave = Array.from({ length: 256 }, (_, i) => Math.trunc(128 + 100 * Math.sin((i / 256) * 2 * Math.PI)));
  const middle = Math.floor(PLATE / 2);
  return Array.from({ length: PLATE_TURNS }, (_, turn) => {
    const image = new ImageData(PLATE, PLATE);
    for (let i = 0; i < PLATE * PLATE; i += 1) {
      const [x, y] = [(i % PLATE) - middle, Math.floor(i / PLATE) - middle];
      const phase = Math.floor(((x * x + y * y) * 85) / PLATE) & 255;
      const level = wave[(phase - turn * 6) & 255];
      image.data.set([level, level, level, 255], i * 4);
    }
    return image;
  });
}

function bounce(way, span) {
  const folded = way % Math.max(1, 2 * span);
  return Math.min(folded, Math.max(0, 2 * span - folded));
}

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}

/** Draws into a canvas of 1280×720. */
export class Card {
  static async make(canvas, seed) {
    const card = new Card(canvas.getContext('2d', { alpha: false }));
    card.texture = await createImageBitmap(texture(seed));
    card.plates = await Promise.all(plates().map((image) => createImageBitmap(image)));
    return card;
  }

  constructor(context) {
    this.context = context;
    context.imageSmoothingEnabled = false;
    /** Frames that the marker stays lit. */
    this.flash = 0;
    this.held = false;
  }

  press(down) {
    this.held = down;
    if (down) this.flash = FLASH_FRAMES;
  }

  draw(step, now_us, serial) {
    const { context } = this;
    this.#bands(step);
    this.#boxes(step);
    const [left, top] = [Math.floor((WIDTH * 3) / 4) - Math.floor(PLATE / 2), Math.floor((HEIGHT - PLATE) / 2)];
    context.drawImage(this.plates[step % PLATE_TURNS], left, top);
    this.#hands();
    this.#stamp(now_us, step, serial);
    this.flash = Math.max(0, this.flash - 1);
  }

  #fill(x, y, w, h, bgr) {
    this.context.fillStyle = rgb(bgr);
    this.context.fillRect(x, y, w, h);
  }

  #bands(step) {
    const height = HEIGHT / BAND_SPEEDS.length;
    BAND_SPEEDS.forEach((speed, band) => {
      const offset = (step * speed) % PERIOD;
      this.context.drawImage(this.texture, offset, band * height, WIDTH, height, 0, band * height, WIDTH, height);
    });
  }

  #boxes(step) {
    const side = Math.floor(HEIGHT / 10);
    for (let i = 0; i < BOXES; i += 1) {
      const x = bounce(i * 97 + step * (2 + (i % 5)), WIDTH - side);
      const y = bounce(i * 53 + step * (1 + (i % 3)), HEIGHT - side);
      const hue = i * 25;
      this.#fill(x, y, side, side, [250 - hue, 90 + Math.floor(hue / 2), 30 + hue]);
      this.#fill(x + side / 4, y + side / 4, side / 2, side / 2, [hue, 200, 255 - hue]);
    }
  }

  #hands() {
    const lamp = Math.floor(HEIGHT / 60);
    const step = lamp + 1;
    const top = HEIGHT - 10 * step;
    this.#fill(0, top - step, 34 * step, HEIGHT - top + step, [24, 20, 20]);
    /** HID usage of the space bar, the one key that is pressed here. */
    const SPACE = 0x2c;
    const lampAt = (column, row, lit) => {
      this.#fill(step + column * step, top + row * step, lamp, lamp, lit ? [80, 255, 255] : [70, 60, 60]);
    };
    for (let code = 0; code < 256; code += 1) lampAt(code % 32, Math.floor(code / 32), this.held && code === SPACE);
    for (let button = 0; button < 5; button += 1) lampAt(button, 8, false);
    for (let bit = 0; bit < 24; bit += 1) lampAt(8 + bit, 8, false);
    const side = Math.floor(HEIGHT / 8);
    this.#fill(WIDTH - side, HEIGHT - side, side, side, this.flash > 0 ? [255, 255, 255] : [40, 32, 32]);
    const arm = Math.floor(HEIGHT / 24);
    const [x, y] = [Math.floor(0.5 * (WIDTH - 1)), Math.floor(0.5 * (HEIGHT - 1))];
    this.#fill(x - arm, y - 1, 2 * arm + 1, 3, [40, 40, 255]);
    this.#fill(x - 1, y - arm, 3, 2 * arm + 1, [40, 40, 255]);
  }

  #stamp(now_us, frame, serial) {
    const view = new DataView(new ArrayBuffer(16));
    view.setUint32(0, now_us % 2 ** 32, true);
    view.setUint16(4, Math.floor(now_us / 2 ** 32), true);
    view.setUint32(6, frame, true);
    view.setUint32(10, serial, true);
    view.setUint16(14, crc16(new Uint8Array(view.buffer, 0, 14)), true);
    this.#fill(0, 0, 65 * BLOCK, 3 * BLOCK, [128, 128, 128]);
    this.#fill(0, 0, 64 * BLOCK, 2 * BLOCK, [0, 0, 0]);
    for (let bit = 0; bit < 128; bit += 1) {
      const lit = (view.getUint8(bit >> 3) >> (bit & 7)) & 1;
      if (lit) this.#fill((bit % 64) * BLOCK, Math.floor(bit / 64) * BLOCK, BLOCK, BLOCK, [255, 255, 255]);
    }
  }
}
