// Prometheus durations: text <-> milliseconds.

const UNIT_MS: Record<string, number> = {
  y: 365 * 86_400_000,
  w: 7 * 86_400_000,
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
};

const DURATION = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** Milliseconds of a Prometheus duration (`1h30m`), or null when the text is none or is zero. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  const match = DURATION.exec(trimmed);
  if (!match) return null;
  const total = ['y', 'w', 'd', 'h', 'm', 's', 'ms'].reduce(
    (sum, unit, i) => sum + (match[i + 1] ? Number(match[i + 1]) * UNIT_MS[unit] : 0),
    0,
  );
  return total > 0 && Number.isSafeInteger(total) ? total : null;
}

/** The way Prometheus and Thanos write a duration: `1w` for 7 days, `1d12h`, `1h24m14s602ms`. */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  if (rest <= 0) return '0s';
  let text = '';
  for (const [unit, size] of Object.entries(UNIT_MS)) {
    if ((unit === 'y' || unit === 'w') && rest % size !== 0) continue;
    const n = Math.floor(rest / size);
    if (n > 0) {
      text += `${n}${unit}`;
      rest -= n * size;
    }
  }
  return text;
}

/** For reading: two units at most, zero-padded (`2h 05m`, `3.05s`, `412 ms`). */
export function humanDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const abs = Math.abs(ms);
  const sign = ms < 0 ? '-' : '';
  const pad = (n: number) => String(n).padStart(2, '0');
  if (abs < 1_000) return `${sign}${Math.round(abs)} ms`;
  if (abs < 60_000) return `${sign}${(Math.floor(abs / 10) / 100).toFixed(2)}s`;
  if (abs < 3_600_000) return `${sign}${Math.floor(abs / 60_000)}m ${pad(Math.floor(abs / 1_000) % 60)}s`;
  if (abs < 86_400_000) return `${sign}${Math.floor(abs / 3_600_000)}h ${pad(Math.floor(abs / 60_000) % 60)}m`;
  return `${sign}${Math.floor(abs / 86_400_000)}d ${pad(Math.floor(abs / 3_600_000) % 24)}h`;
}

/** The fixed ladder that the range buttons climb, in ms. */
export const RANGE_STEPS_MS: readonly number[] = [
  '1s', '10s', '1m', '5m', '15m', '30m', '1h', '2h', '6h', '12h', '1d', '2d', '7d', '14d', '28d', '56d', '1y', '2y',
].map((text) => parseDuration(text) as number);
