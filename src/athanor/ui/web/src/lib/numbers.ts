// Numbers as people read them. The text that the server sent stays the truth: it goes into titles and copies.

const SI: readonly [number, string][] = [
  [1e24, 'Y'], [1e21, 'Z'], [1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k'],
];
const SMALL: readonly [number, string][] = [[1e-3, 'm'], [1e-6, 'µ'], [1e-9, 'n'], [1e-12, 'p']];

/** Digits of a number without useless zeros. */
function digits(value: number, significant: number): string {
  return String(Number(value.toPrecision(significant)));
}

/** Up to five significant digits, SI suffix from 10 000 and below 0.01. */
export function formatValue(value: number, significant = 5): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  if (value === 0) return '0';
  const abs = Math.abs(value);
  if (abs >= 9999.95) {
    for (const [size, suffix] of SI) {
      if (abs >= size * 0.999995) {
        return abs / size >= 1e4 ? value.toExponential(3) : digits(value / size, Math.min(significant, 4)) + suffix;
      }
    }
  }
  if (abs < 0.01) {
    for (const [size, suffix] of SMALL) {
      if (abs >= size) return digits(value / size, Math.min(significant, 4)) + suffix;
    }
    return value.toExponential(3);
  }
  return digits(value, significant);
}

/** Text of a sample as the server sends it; words for what is no number. */
export function formatSample(text: string): string {
  const value = Number(text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : text);
  return formatValue(value);
}

export function sampleNumber(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}

/** All ticks of an axis with one suffix and only the digits they need. */
export function formatTicks(ticks: readonly number[]): string[] {
  const finite = ticks.filter(Number.isFinite);
  const top = Math.max(...finite.map(Math.abs), 0);
  let size = 1;
  let suffix = '';
  if (top >= 1e4) [size, suffix] = SI.find(([s]) => top >= s) ?? [1, ''];
  else if (top > 0 && top < 0.01) [size, suffix] = SMALL.find(([s]) => top >= s) ?? SMALL[SMALL.length - 1];
  const scaled = finite.map((t) => t / size);
  let decimals = 0;
  while (decimals < 6 && scaled.some((v) => Math.abs(v - Number(v.toFixed(decimals))) > Math.abs(top / size) * 1e-9)) decimals++;
  return ticks.map((t) => {
    if (!Number.isFinite(t)) return '';
    const text = (t / size).toFixed(decimals);
    return Number(text) === 0 ? '0' : text + suffix;
  });
}

/** Counts with a thin space between thousands. */
export function formatCount(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u2009');
}
