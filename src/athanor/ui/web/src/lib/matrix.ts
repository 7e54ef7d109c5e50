// Range answers, from the bytes of the response straight into arrays: a JSON tree of millions of points is too big.
import type { Labels } from './labels';

export interface SeriesStats {
  n: number;
  last: number;
  min: number;
  mean: number;
  max: number;
}

export interface Matrix {
  /** Unix seconds of the grid points. */
  times: Float64Array;
  metrics: Labels[];
  /** Row per series, column per grid point; NaN where the series has no (drawable) value. */
  values: Float64Array;
  stats: SeriesStats[];
  nPoints: number;
  warnings: string[];
  /** Series with native histograms are drawn as their sums. */
  hasHistograms: boolean;
}

export class NotMatrix extends Error {}

const QUOTE = 0x22, BACKSLASH = 0x5c, OPEN = 0x5b, CLOSE = 0x5d, OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, COMMA = 0x2c;
const POW10 = Array.from({ length: 23 }, (_, n) => Number(`1e${n}`));
const utf8 = new TextDecoder();

/** Where the JSON value that begins at `at` ends. */
function skipValue(bytes: Uint8Array, at: number): number {
  let depth = 0;
  for (let i = at; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === QUOTE) {
      i++;
      while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1;
      if (depth === 0) return i + 1;
    } else if (c === OPEN || c === OPEN_BRACE) depth++;
    else if (c === CLOSE || c === CLOSE_BRACE) {
      depth--;
      if (depth === 0) return i + 1;
    } else if (depth === 0 && (c === COMMA || c === CLOSE || c === CLOSE_BRACE)) return i;
  }
  throw new NotMatrix('the answer ends in the middle of a value');
}

function expectText(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (bytes[at + i] !== text.charCodeAt(i)) throw new NotMatrix(`expected ${text} at byte ${at}`);
  }
  return at + text.length;
}

function startsWith(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

// The number reader leaves where it stopped here: a result object per number would be garbage for every sample.
let stoppedAt = 0;

/** A decimal number up to the delimiter. Exact: at most 2^53 as mantissa and 10^22 as scale, else by the engine. */
function readNumber(bytes: Uint8Array, start: number): number {
  let i = start;
  let negative = false;
  if (bytes[i] === 0x2d) {
    negative = true;
    i++;
  }
  let mantissa = 0;
  let scale = 0;
  let nDigits = 0;
  let c = bytes[i];
  while (c >= 0x30 && c <= 0x39) {
    mantissa = mantissa * 10 + (c - 0x30);
    if (mantissa !== 0) nDigits++;
    c = bytes[++i];
  }
  if (c === 0x2e) {
    c = bytes[++i];
    while (c >= 0x30 && c <= 0x39) {
      mantissa = mantissa * 10 + (c - 0x30);
      if (mantissa !== 0) nDigits++;
      scale++;
      c = bytes[++i];
    }
  }
  if ((c === QUOTE || c === COMMA) && nDigits <= 15 && scale <= 22 && i > start) {
    stoppedAt = i;
    const value = scale === 0 ? mantissa : mantissa / POW10[scale];
    return negative ? -value : value;
  }
  while (i < bytes.length && bytes[i] !== QUOTE && bytes[i] !== COMMA) i++;
  stoppedAt = i;
  const text = String.fromCharCode(...bytes.subarray(start, i));
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}

const HEAD = '{"status":"success","data":{"resultType":"matrix","result":[';

/**
 * Reads a matrix answer onto the grid of the request. A value belongs to step t if t <= its time < t + step/100.
 * Throws NotMatrix when the bytes are anything else: the caller then parses them as ordinary JSON.
 */
export function parseMatrix(bytes: Uint8Array, startMs: number, endMs: number, stepS: number): Matrix {
  const stepMs = stepS * 1000;
  const nSteps = Math.max(1, Math.floor((endMs - startMs) / stepMs + 1e-9) + 1);
  const startS = startMs / 1000;
  const times = Float64Array.from({ length: nSteps }, (_, n) => startS + n * stepS);
  const metrics: Labels[] = [];
  const stats: SeriesStats[] = [];
  let capacity = 16;
  let values = new Float64Array(capacity * nSteps).fill(NaN);
  let nPoints = 0;
  let hasHistograms = false;

  let at = expectText(bytes, 0, HEAD);
  while (bytes[at] === OPEN_BRACE) {
    at = expectText(bytes, at, '{"metric":');
    const metricEnd = skipValue(bytes, at);
    metrics.push(JSON.parse(utf8.decode(bytes.subarray(at, metricEnd))) as Labels);
    at = metricEnd;
    if (metrics.length > capacity) {
      capacity = Math.max(capacity * 2, 64);
      const larger = new Float64Array(capacity * nSteps).fill(NaN, values.length);
      larger.set(values);
      values = larger;
    }
    const row = (metrics.length - 1) * nSteps;
    let n = 0, sum = 0, min = Infinity, max = -Infinity, last = NaN, lastTime = -Infinity;
    const put = (timeS: number, value: number) => {
      const step = Math.floor((timeS - startS) / stepS + 0.0101);
      if (step < 0 || step >= nSteps) return;
      n++;
      if (timeS >= lastTime) {
        last = value;
        lastTime = timeS;
      }
      sum += value;
      if (value < min) min = value;
      if (value > max) max = value;
      if (Number.isFinite(value)) values[row + step] = value;
    };
    if (startsWith(bytes, at, ',"values":[')) {
      at += 11;
      while (bytes[at] === OPEN) {
        const timeS = readNumber(bytes, at + 1);
        at = stoppedAt;
        if (bytes[at] !== COMMA || bytes[at + 1] !== QUOTE) throw new NotMatrix(`expected a value at byte ${at}`);
        const value = readNumber(bytes, at + 2);
        at = stoppedAt;
        if (bytes[at] !== QUOTE || bytes[at + 1] !== CLOSE) throw new NotMatrix(`expected ] at byte ${at}`);
        at += 2;
        if (bytes[at] === COMMA) at++;
        put(timeS, value);
      }
      at = expectText(bytes, at, ']');
    }
    if (startsWith(bytes, at, ',"histograms":')) {
      at += 14;
      const end = skipValue(bytes, at);
      const samples = JSON.parse(utf8.decode(bytes.subarray(at, end))) as [number, { sum: string }][];
      for (const [timeS, histogram] of samples) put(timeS, Number(histogram.sum));
      hasHistograms = true;
      at = end;
    }
    at = expectText(bytes, at, '}');
    stats.push({ n, last, min: n > 0 ? min : NaN, mean: n > 0 ? sum / n : NaN, max: n > 0 ? max : NaN });
    nPoints += n;
    if (bytes[at] === COMMA) at++;
  }
  at = expectText(bytes, at, ']');
  // What follows is small (stats, analysis, warnings): ordinary JSON once the huge part is cut out.
  const rest = JSON.parse(`{"data":{"result":[]${utf8.decode(bytes.subarray(at))}`) as { warnings?: string[]; infos?: string[] };
  return {
    times, metrics, stats, nPoints, hasHistograms,
    values: values.slice(0, metrics.length * nSteps),
    warnings: [...(rest.warnings ?? []), ...(rest.infos ?? [])],
  };
}
