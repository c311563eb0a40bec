const SHAPES = {
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  resume: 'M5 3.2v9.6L12.5 8z',
  delete: 'M2.8 4.3h10.4M6 4.3V2.8h4v1.5M4.2 4.3l.6 8.9h6.4l.6-8.9M6.7 6.8v4M9.3 6.8v4',
  close: 'M4 4l8 8M12 4l-8 8',
  copy: 'M6 6h7v7H6zM10 6V3H3v7h3',
  check: 'M3 8.5l3.2 3.2L13 5',
  plus: 'M8 3v10M3 8h10',
  fork: 'M4.5 2.5v11M4.5 10.5c0-4.5 7-2 7-6.5M9 6l2.5-2.5L14 6',
  template: 'M3 3h10v10H3zM3 6.3h10M6.6 6.3V13',
  run: 'M3.5 8h9M8.8 4.3 12.5 8l-3.7 3.7',
} as const;

export type IconName = keyof typeof SHAPES;

/** A 16-pixel line drawing. Decoration only: what it stands for is always said in text or in a label. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={SHAPES[name]} />
    </svg>
  );
}
