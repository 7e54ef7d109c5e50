// The URL contract of the graph page: Thanos' keys first and in Thanos' order, then ours, then whatever was unknown.
import { formatDuration, parseDuration } from './duration';
import { formatTime, parseTime } from './zone';

export type Tab = 'graph' | 'table';
export type View = '' | 'json';
export type YAxis = 'auto' | 'zero' | 'log';
export type Pair = readonly [key: string, value: string];

export interface PanelState {
  expr: string;
  tab: Tab;
  stacked: boolean;
  rangeMs: number;
  /** Null: the link did not say; the server's default applies. */
  maxSourceResolution: string | null;
  dedup: boolean;
  partialResponse: boolean;
  storeMatches: readonly string[];
  engine: string | null;
  analyze: boolean;
  tenant: string;
  endMs: number | null;
  stepS: number | null;
  view: View;
  y: YAxis;
  /** Hashes of the hidden series; with a leading `-` those that alone are shown (isolating one of thousands stays short). */
  hide: readonly string[];
  sort: string;
  /** Keys of this panel that we do not know, without the `gN.` prefix. */
  extra: readonly Pair[];
}

export interface PageState {
  panels: PanelState[];
  /** Page keys (`tz`, `refresh`, ...), known and unknown, in order. */
  page: Pair[];
  /** What could not be read and was left at its default. */
  notes: string[];
}

export const DEFAULT_RANGE_MS = 3_600_000;

export function defaultPanel(): PanelState {
  return {
    expr: '', tab: 'table', stacked: false, rangeMs: DEFAULT_RANGE_MS, maxSourceResolution: null, dedup: true,
    partialResponse: true, storeMatches: [], engine: null, analyze: false, tenant: '', endMs: null, stepS: null,
    view: '', y: 'auto', hide: [], sort: '', extra: [],
  };
}

function decode(text: string): string {
  const spaced = text.replace(/\+/g, ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

export function parsePairs(search: string): Pair[] {
  return search
    .replace(/^\?/, '')
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      return at < 0 ? [decode(part), ''] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
    });
}

const SOURCE_RESOLUTION = /^(auto|\d+(\.\d+)?|[0-9a-z]+)$/;

function storeNames(text: string): string[] | null {
  try {
    const list: unknown = JSON.parse(text);
    if (!Array.isArray(list)) return null;
    const names = list.map((item: unknown) =>
      typeof item === 'string' ? item : typeof item === 'object' && item !== null && 'name' in item ? item.name : null);
    return names.every((name): name is string => typeof name === 'string') ? names : null;
  } catch {
    return null;
  }
}

function flag(value: string, fallback: boolean): boolean {
  return value === '1' || value === 'true' ? true : value === '0' || value === 'false' ? false : fallback;
}

function readPanel(number: number, pairs: readonly Pair[], nowMs: number, notes: string[]): PanelState {
  const panel = defaultPanel();
  const extra: Pair[] = [];
  const bad = (key: string, value: string) =>
    notes.push(`g${number}.${key}: "${value.slice(0, 60)}" was not understood and left out`);
  let moment: number | null = null;
  for (const [key, value] of pairs) {
    switch (key) {
      case 'expr':
        panel.expr = value;
        break;
      case 'tab':
        panel.tab = value === '0' || value === 'graph' ? 'graph' : 'table';
        break;
      case 'stacked':
        panel.stacked = flag(value, false);
        break;
      case 'display_mode': // Prometheus 3
        panel.stacked = value === 'stacked';
        break;
      case 'range_input': {
        const range = parseDuration(value);
        if (range === null) bad(key, value);
        else panel.rangeMs = range;
        break;
      }
      case 'max_source_resolution':
        if (SOURCE_RESOLUTION.test(value)) panel.maxSourceResolution = value;
        else if (value !== '') bad(key, value);
        break;
      case 'deduplicate':
        panel.dedup = flag(value, true);
        break;
      case 'partial_response':
        panel.partialResponse = flag(value, true);
        break;
      case 'store_matches': {
        const names = value === '' ? [] : storeNames(value);
        if (names === null) bad(key, value);
        else panel.storeMatches = names;
        break;
      }
      case 'engine':
        panel.engine = value || null;
        break;
      case 'analyze':
        panel.analyze = flag(value, false);
        break;
      case 'tenant':
        panel.tenant = value;
        break;
      case 'end_input':
      case 'moment_input': {
        if (value === '') break;
        const at = parseTime(value, 'UTC', nowMs, parseDuration);
        if (at === null) bad(key, value);
        else if (key === 'end_input') panel.endMs = at;
        else moment = at;
        break;
      }
      case 'step_input':
      case 'res_step': { // the second: Prometheus 3
        if (value === '') break;
        const seconds = /^\d+$/.test(value) ? Number(value) : Math.round((parseDuration(value) ?? 0) / 1000);
        if (seconds >= 1 && Number.isSafeInteger(seconds)) panel.stepS = seconds;
        else bad(key, value);
        break;
      }
      case 'res_type': // Prometheus 3: the automatic kinds have no step of their own
      case 'res_density':
        break;
      case 'view':
        panel.view = value === 'json' ? 'json' : '';
        break;
      case 'y':
        panel.y = value === 'zero' || value === 'log' ? value : 'auto';
        break;
      case 'y_axis_min': // Prometheus 3
        if (value === '0') panel.y = 'zero';
        break;
      case 'hide':
        panel.hide = value.split(',').filter((hash) => /^-?[0-9a-f]{8}$/.test(hash));
        break;
      case 'sort':
        panel.sort = value;
        break;
      default:
        extra.push([key, value]);
    }
  }
  if (pairs.some(([key, value]) => key === 'res_type' && value === 'auto')) panel.stepS = null;
  if (panel.endMs === null) panel.endMs = moment;
  panel.extra = extra;
  return panel;
}

/** Reads a query string: any order, holes in the numbering closed, both dialects (Thanos, Prometheus 3). Never throws. */
export function readPage(search: string, nowMs: number): PageState {
  const byNumber = new Map<number, Pair[]>();
  const page: Pair[] = [];
  for (const [key, value] of parsePairs(search)) {
    const match = /^g(\d{1,6})\.(.+)$/.exec(key);
    if (!match) {
      page.push([key, value]);
      continue;
    }
    const number = Number(match[1]);
    const pairs = byNumber.get(number) ?? [];
    pairs.push([match[2], value]);
    byNumber.set(number, pairs);
  }
  const notes: string[] = [];
  const panels = [...byNumber.keys()]
    .sort((a, b) => a - b)
    .map((number) => readPanel(number, byNumber.get(number) ?? [], nowMs, notes));
  return { panels, page, notes };
}

export interface ServerDefaults {
  engine: string;
  maxSourceResolution: string;
}

const bit = (on: boolean) => (on ? '1' : '0');

export function panelPairs(panel: PanelState, defaults: ServerDefaults): Pair[] {
  const pairs: Pair[] = [
    ['expr', panel.expr],
    ['tab', panel.tab === 'graph' && panel.view === '' ? '0' : '1'],
    ['stacked', bit(panel.stacked)],
    ['range_input', formatDuration(panel.rangeMs)],
    ['max_source_resolution', panel.maxSourceResolution ?? defaults.maxSourceResolution],
    ['deduplicate', bit(panel.dedup)],
    ['partial_response', bit(panel.partialResponse)],
    ['store_matches', JSON.stringify(panel.storeMatches.map((name) => ({ name })))],
    ['engine', panel.engine ?? defaults.engine],
    ['analyze', bit(panel.analyze)],
    ['tenant', panel.tenant],
  ];
  if (panel.endMs !== null) {
    const text = formatTime('UTC', panel.endMs);
    pairs.push(['end_input', text], ['moment_input', text]);
  }
  if (panel.stepS !== null) pairs.push(['step_input', String(panel.stepS)]);
  if (panel.view) pairs.push(['view', panel.view]);
  if (panel.y !== 'auto') pairs.push(['y', panel.y]);
  if (panel.hide.length > 0) pairs.push(['hide', panel.hide.join(',')]);
  if (panel.sort) pairs.push(['sort', panel.sort]);
  return [...pairs, ...panel.extra];
}

export function writePage(panels: readonly PanelState[], page: readonly Pair[], defaults: ServerDefaults): string {
  const parts: string[] = [];
  panels.forEach((panel, n) => {
    for (const [key, value] of panelPairs(panel, defaults)) {
      parts.push(`${encodeURIComponent(`g${n}.${key}`)}=${encodeURIComponent(value)}`);
    }
  });
  for (const [key, value] of page) parts.push(`${encodeURIComponent(key)}=${encodeURIComponent(value)}`);
  return parts.length > 0 ? `?${parts.join('&')}` : '';
}

export function pageValue(page: readonly Pair[], key: string): string | null {
  return page.find(([k]) => k === key)?.[1] ?? null;
}

export function withPageValue(page: readonly Pair[], key: string, value: string | null): Pair[] {
  const rest = page.filter(([k]) => k !== key);
  return value ? [...rest, [key, value]] : rest;
}

// --- requests ---------------------------------------------------------------------------------------------------

export interface QueryRequest {
  path: 'api/v1/query' | 'api/v1/query_range';
  body: Pair[];
  startMs: number;
  endMs: number;
  stepS: number;
}

/** The request of a panel: Thanos' parameters, all of them, in Thanos' order. */
export function queryRequest(panel: PanelState, defaults: ServerDefaults, stepS: number, nowMs: number): QueryRequest {
  const endMs = panel.endMs ?? nowMs;
  const startMs = endMs - panel.rangeMs;
  const head: Pair[] = [
    ['query', panel.expr],
    ['dedup', String(panel.dedup)],
    ['partial_response', String(panel.partialResponse)],
    ...panel.storeMatches.map((name): Pair => ['storeMatch[]', `{__address__=${JSON.stringify(name)}}`]),
  ];
  const tail: Pair[] = [
    ['engine', panel.engine ?? defaults.engine],
    ['analyze', String(panel.analyze)],
    ['tenant', panel.tenant],
  ];
  if (panel.tab === 'graph' && panel.view === '') {
    return {
      path: 'api/v1/query_range', startMs, endMs, stepS,
      body: [
        ...head,
        ['start', String(startMs / 1000)],
        ['end', String(endMs / 1000)],
        ['step', String(stepS)],
        ['max_source_resolution', panel.maxSourceResolution ?? defaults.maxSourceResolution],
        ...tail,
      ],
    };
  }
  return { path: 'api/v1/query', startMs, endMs, stepS, body: [...head, ['time', String(endMs / 1000)], ...tail] };
}
