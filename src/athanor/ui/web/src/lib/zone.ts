// Times in a chosen zone: parsing, printing, and the offset that both need.

export interface WallClock {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(zone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(zone);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit',
      hour: '2-digit', minute: '2-digit', second: '2-digit', era: 'short',
    });
    formatters.set(zone, formatter);
  }
  return formatter;
}

export function isZone(zone: string): boolean {
  try {
    formatterOf(zone);
    return true;
  } catch {
    return false;
  }
}

export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

const offsets = new Map<string, number>();
const QUARTER_MS = 900_000; // zone changes happen on quarters of an hour

/** What must be added to a UTC time to get the wall clock of the zone, in ms. */
export function offsetMs(zone: string, atMs: number): number {
  if (zone === 'UTC' || !Number.isFinite(atMs)) return 0;
  const quarter = Math.floor(atMs / QUARTER_MS);
  const key = `${zone}/${quarter}`;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const at = quarter * QUARTER_MS;
  const part: Record<string, string> = {};
  for (const { type, value } of formatterOf(zone).formatToParts(at)) part[type] = value;
  const year = part.era === 'BC' ? 1 - Number(part.year) : Number(part.year);
  const wall = Date.UTC(year, Number(part.month) - 1, Number(part.day), Number(part.hour), Number(part.minute), Number(part.second));
  if (offsets.size > 20_000) offsets.clear();
  offsets.set(key, wall - at);
  return wall - at;
}

/** UTC ms of a wall clock in the zone. In a gap of a DST change: the time after it; in an overlap: the earlier one. */
export function fromWall(zone: string, wallMs: number): number {
  const before = wallMs - offsetMs(zone, wallMs - 86_400_000);
  const after = wallMs - offsetMs(zone, wallMs + 86_400_000);
  const fits = [before, after].filter((t) => t + offsetMs(zone, t) === wallMs);
  return fits.length > 0 ? Math.min(...fits) : Math.max(before, after);
}

const two = (n: number) => String(n).padStart(2, '0');

export interface Parts {
  date: string;
  time: string;
  ms: number;
}

export function partsIn(zone: string, atMs: number): Parts {
  const wall = new Date(atMs + offsetMs(zone, atMs));
  const year = wall.getUTCFullYear();
  return {
    date: `${year < 0 ? '-' : ''}${String(Math.abs(year)).padStart(4, '0')}-${two(wall.getUTCMonth() + 1)}-${two(wall.getUTCDate())}`,
    time: `${two(wall.getUTCHours())}:${two(wall.getUTCMinutes())}:${two(wall.getUTCSeconds())}`,
    ms: ((wall.getUTCMilliseconds() % 1000) + 1000) % 1000,
  };
}

/** `2023-11-15 12:00:00` in the zone; milliseconds only when there are any and they are asked for. */
export function formatTime(zone: string, atMs: number, withMs = false): string {
  const { date, time, ms } = partsIn(zone, atMs);
  return `${date} ${time}${withMs && ms ? `.${String(ms).padStart(3, '0')}` : ''}`;
}

/** `UTC` or `+05:30`, as the zone is at that time. */
export function zoneMark(zone: string, atMs: number): string {
  if (zone === 'UTC') return 'UTC';
  const minutes = Math.round(offsetMs(zone, atMs) / 60_000);
  const abs = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(abs / 60))}:${two(abs % 60)}`;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function shortDate(zone: string, atMs: number): string {
  const { date } = partsIn(zone, atMs);
  const [, month, day] = date.replace(/^-/, '').split('-').map(Number);
  return `${MONTHS[month - 1]} ${day}`;
}

const WALL = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?$/;
const ISO = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/i;
const RELATIVE = /^now(?:\s*([+-])\s*([0-9a-z]+))?$/i;
const MAX_MS = 8.64e15;

/**
 * A time as people write it: `2023-11-15 12:00:00` (in the zone), ISO 8601 with a zone, Unix seconds or milliseconds,
 * `now-1h`. Null when it is none of them.
 */
export function parseTime(text: string, zone: string, nowMs: number, parseSpan: (t: string) => number | null): number | null {
  const trimmed = text.trim();
  const relative = RELATIVE.exec(trimmed);
  if (relative) {
    if (!relative[1]) return nowMs;
    const span = parseSpan(relative[2]);
    return span === null ? null : relative[1] === '-' ? nowMs - span : nowMs + span;
  }
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) {
    const n = Number(trimmed);
    const ms = Math.round(Math.abs(n) >= 1e11 ? n : n * 1000);
    return Math.abs(ms) <= MAX_MS ? ms : null;
  }
  if (ISO.test(trimmed)) {
    const ms = Date.parse(trimmed.replace(' ', 'T'));
    return Number.isFinite(ms) ? ms : null;
  }
  const wall = WALL.exec(trimmed);
  if (!wall) return null;
  const [year, month, day, hour, minute, second] = wall.slice(1, 7).map((x) => Number(x ?? 0));
  const fraction = wall[7] ? Math.round(Number(`0.${wall[7]}`) * 1000) : 0;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second, fraction);
  const back = new Date(ms);
  if (back.getUTCMonth() !== month - 1 || back.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) return null;
  return fromWall(zone, ms);
}

/** Axis ticks at round wall-clock times of the zone, also across a DST change; in seconds. */
export function timeTicks(zone: string, minS: number, maxS: number, stepS: number): number[] {
  const ticks: number[] = [];
  let wall = Math.ceil((minS * 1000 + offsetMs(zone, minS * 1000)) / (stepS * 1000)) * stepS * 1000;
  for (let n = 0; n < 200; n++, wall += stepS * 1000) {
    const at = fromWall(zone, wall) / 1000;
    if (at > maxS) break;
    if (at >= minS && at !== ticks[ticks.length - 1]) ticks.push(at);
  }
  return ticks;
}

const TICK_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
  86400, 2 * 86400, 5 * 86400, 7 * 86400, 14 * 86400, 28 * 86400, 91 * 86400, 182 * 86400, 364 * 86400,
];

export function tickStepS(rangeS: number, nTicks: number): number {
  const wanted = rangeS / Math.max(nTicks, 1);
  return TICK_STEPS_S.find((s) => s >= wanted) ?? TICK_STEPS_S[TICK_STEPS_S.length - 1];
}
