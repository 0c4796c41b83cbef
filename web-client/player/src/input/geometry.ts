/** Where the picture lies on the screen, and what lies on the picture. */

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly shown_width: number;
  readonly shown_height: number;
}

/** The letterboxed rectangle of a `width` × `height` picture in a box. */
export function fitPicture(width: number, height: number, box: DOMRect): Picture {
  const scale = Math.min(box.width / width, box.height / height);
  const [shown_width, shown_height] = [width * scale, height * scale];
  return {
    width,
    height,
    left: box.left + (box.width - shown_width) / 2,
    top: box.top + (box.height - shown_height) / 2,
    shown_width,
    shown_height,
  };
}

/** Where a client position lies on the picture, 0..=65535 each, clamped to its edges. */
export function positionOn(picture: Picture, clientX: number, clientY: number): { x: number; y: number } {
  const part = (at: number, from: number, length: number): number =>
    Math.round(Math.max(0, Math.min(1, (at - from) / Math.max(1, length))) * 65_535);
  return {
    x: part(clientX, picture.left, picture.shown_width),
    y: part(clientY, picture.top, picture.shown_height),
  };
}

/** Whether a client position lies on the picture, not on the bars beside it. */
export function positionInside(picture: Picture, clientX: number, clientY: number): boolean {
  const within = (at: number, from: number, length: number): boolean => at >= from && at < from + length;
  return within(clientX, picture.left, picture.shown_width) && within(clientY, picture.top, picture.shown_height);
}
