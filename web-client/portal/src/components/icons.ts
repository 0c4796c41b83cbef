/** Every picture sign of the pages: SVG paths to be stroked, 24 × 24. */
export const PATHS = {
  keyboard: 'M3 7h18v10H3z M7 10.5h.01 M11 10.5h.01 M15 10.5h.01 M18 10.5h.01 M8 14h8',
  mouse: 'M12 3a5 5 0 0 1 5 5v8a5 5 0 0 1-10 0V8a5 5 0 0 1 5-5z M12 7v3',
  pad: 'M7.5 7h9a4.5 4.5 0 0 1 4.4 5.4l-.7 3.4a2.2 2.2 0 0 1-3.9.9L14.5 14.5h-5l-1.8 2.2a2.2 2.2 0 0 1-3.9-.9l-.7-3.4A4.5 4.5 0 0 1 7.5 7z M8 9.5v3 M6.5 11h3 M15.5 10h.01 M17.5 12h.01',
  touch: 'M9 12V5.5a1.5 1.5 0 0 1 3 0V11 M12 10a1.5 1.5 0 0 1 3 0v1 M15 11a1.5 1.5 0 0 1 3 0v4a6 6 0 0 1-6 6c-3 0-4.2-1.5-5.5-4L5 14a1.6 1.6 0 0 1 2.7-1.7L9 14',
  play: 'M7 4.5v15l12.5-7.5z',
  back: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  close: 'M6 6l12 12 M18 6L6 18',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z M12 11v5 M12 8h.01',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  alert: 'M12 4l9 16H3z M12 10v4 M12 17h.01',
  copy: 'M9 9h11v11H9z M5 15H4V4h11v1',
  refresh: 'M20 11a8 8 0 1 0-2.3 6.3 M20 5v6h-6',
  download: 'M12 4v11 M7.5 11l4.500 4.500 4.500-4.500 M5 19.500h14',
  trash: 'M5 7h14 M10 7V4.500h4V7 M7 7l.8 12.500h8.400L17 7 M10.500 11v5 M13.500 11v5',
  disk: 'M5 4h11l3 3v13H5z M8.500 4v5h6V4 M8.500 20v-6.500h7V20',
  machine: 'M4 5h16v6H4z M4 13h16v6H4z M7.5 8h.01 M7.5 16h.01',
  share: 'M12 3v12 M8 7l4-4 4 4 M6 11H5v9h14v-9h-1',
} as const;
/** Names of the signs. */
export type IconName = keyof typeof PATHS;
