/** Building DOM without a framework: one function for elements, one for icons. */

type Props = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

/** An element with attributes (`true` is empty, `false` absent), `on…` listeners and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Paths on a 24 × 24 grid, stroked. */
const ICONS = {
  play: 'M8 5.5v13l10.5-6.5z',
  leave: 'M15 17l5-5-5-5M20 12H9M12 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h6',
  fullscreen: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  windowed: 'M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5',
  sound: 'M4 9.5v5h3.5L12 18V6L7.500 9.500zM15.500 9a4 4 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11',
  muted: 'M4 9.5v5h3.5L12 18V6L7.500 9.500zM16 10l5 5M21 10l-5 5',
  stats: 'M5 19v-6M10 19V9M15 19v-8M20 19V5',
  menu: 'M5 8h14M5 12h14M5 16h14',
  close: 'M6 6l12 12M18 6L6 18',
  keyboard: 'M3 7h18v10H3zM7 10.500h.01M11 10.500h.01M15 10.500h.01M18 10.500h.01M8 14h8',
  microphone: 'M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.500 11.500a6.500 6.500 0 0 0 13 0M12 18v3',
  silent: 'M9 9v3a3 3 0 0 0 4.500 2.600M15 11V6a3 3 0 0 0-5.800-1M5.500 11.500a6.500 6.500 0 0 0 10 5.500M18.500 11.500a6.500 6.500 0 0 1-.400 2.200M12 18v3M4 4l16 16',
  settings: 'M4 7h9M19 7h1M4 17h1M11 17h9M16 4.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5zM8 14.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  rotate: 'M7 3h7a3 3 0 0 1 3 3v3M8 8h3v12H4V10a2 2 0 0 1 2-2zM14 21h4a3 3 0 0 0 3-3v-2M14.500 7L17 9.500 19.500 7',
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  return drawing('0 0 24 24', ['path', { d: ICONS[name] }]);
}

type Shape = readonly [tag: 'path' | 'rect', attributes: Readonly<Record<string, string>>];

/** A picture of shapes in a view box, hidden from screen readers: words beside it say the same. */
export function drawing(viewBox: string, ...shapes: readonly Shape[]): SVGSVGElement {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', viewBox);
  svg.setAttribute('aria-hidden', 'true');
  for (const [tag, attributes] of shapes) {
    const shape = document.createElementNS(ns, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}
