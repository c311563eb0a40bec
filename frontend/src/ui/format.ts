const STEPS = [
  { unit: 'day', short: 'd', seconds: 86_400 },
  { unit: 'hour', short: 'h', seconds: 3_600 },
  { unit: 'minute', short: 'm', seconds: 60 },
  { unit: 'second', short: 's', seconds: 1 },
] as const;

/** How long ago, in its largest unit ("12 s", "3 m", "2 h", "5 d"). A clock that differs from the server's gives "0 s", never the future. */
export function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  const step = STEPS.find((each) => seconds >= each.seconds) ?? STEPS[3];
  return `${Math.floor(seconds / step.seconds)} ${step.short}`;
}

const ABSOLUTE = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** A moment in the reader's own calendar and time zone. */
export function absolute(moment: string): string {
  return ABSOLUTE.format(new Date(moment));
}

/** MiB as people read them: "512 MiB", "5 GiB". */
export function mebibytes(amount: number): string {
  return amount >= 1024 && amount % 512 === 0 ? `${amount / 1024} GiB` : `${amount} MiB`;
}

const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes in their largest unit, three digits at most: "0 B", "12 KiB", "3.4 MiB", "1.2 GiB". */
export function bytes(amount: number): string {
  if (amount < 1024) return `${amount} B`;
  const power = Math.min(BYTE_UNITS.length, Math.floor(Math.log2(amount) / 10));
  const value = amount / 1024 ** power;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${BYTE_UNITS[power - 1] ?? ''}`;
}

/** A duration in ms: "4.2 ms", "380 ms", "12.4 s". */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A word of the API as people write it: `IDLE_TIMEOUT` → "Idle timeout". */
export function words(constant: string): string {
  return constant.charAt(0) + constant.slice(1).toLowerCase().replaceAll('_', ' ');
}
