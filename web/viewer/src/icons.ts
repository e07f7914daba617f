/** Line icons of the bar as paths on a grid of 24. */
export const ICONS = {
  back: 'M15 5 7 12l8 7z',
  home: 'M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14z',
  recents: 'M6 6h12v12H6z',
  rotate: 'M5 4h7v11H5zM15 8h1.5a3 3 0 0 1 3 3v5.5a3 3 0 0 1-3 3H10m2.5-2.7L9.8 19.5l2.7 2.7',
  keyboard: 'M3 6.5h18v11H3zM6.5 10h.01M10 10h.01M13.5 10h.01M17 10h.01M8 14h8',
  enlarge: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  reduce: 'M9 4v5H4M15 4v5h5M9 20v-5H4M15 20v-5h5',
  meter: 'M4 18a8 8 0 1 1 16 0M12 18l4.5-6',
  end: 'M10 4H5v16h5M14 8l4 4-4 4M18 12H9',
} as const;

/** An icon. */
export type IconName = keyof typeof ICONS;
