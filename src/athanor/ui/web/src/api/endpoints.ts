// The endpoint set as /api/v1/stores tells it, polled while the page is visible, with a memory of who left.
import { useSyncExternalStore } from 'react';
import type { Labels } from '../lib/labels';
import { getJson } from './client';
import { ApiFailure } from './errors';

export interface Endpoint {
  name: string;
  type: string;
  lastCheckMs: number | null;
  lastError: string | null;
  labelSets: Labels[];
  /** Null: unbounded. */
  minMs: number | null;
  maxMs: number | null;
  /** A store without blocks announces an empty range. */
  hasData: boolean;
  /** Set when the endpoint was in the set during this visit and is not any more. */
  leftAtMs: number | null;
}

export interface EndpointState {
  endpoints: readonly Endpoint[];
  fetchedAtMs: number | null;
  failure: ApiFailure | null;
  nextTryMs: number | null;
}

interface RawEndpoint {
  name: string;
  lastCheck?: string;
  lastError?: unknown;
  labelSets?: Labels[] | null;
  minTime?: number;
  maxTime?: number;
}

const UNSAFE = 2 ** 53; // ±2^63 lose their last digits in JavaScript: everything from here is "no bound"
const POLL_MS = 5_000;
const BACKOFF_MS = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000];

function errorText(value: unknown): string | null {
  if (value === null || value === undefined || value === '') return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function readEndpoints(data: Record<string, RawEndpoint[] | null>): Endpoint[] {
  const list: Endpoint[] = [];
  for (const [type, items] of Object.entries(data ?? {})) {
    for (const item of items ?? []) {
      const min = item.minTime ?? 0;
      const max = item.maxTime ?? 0;
      const checked = Date.parse(item.lastCheck ?? '');
      list.push({
        name: item.name, type,
        lastCheckMs: Number.isFinite(checked) && checked > 0 ? checked : null,
        lastError: errorText(item.lastError),
        labelSets: item.labelSets ?? [],
        minMs: min <= 0 || min >= UNSAFE ? null : min,
        maxMs: max <= 0 || max >= UNSAFE ? null : max,
        hasData: !(min >= UNSAFE && max <= -UNSAFE),
        leftAtMs: null,
      });
    }
  }
  return list;
}

let state: EndpointState = { endpoints: [], fetchedAtMs: null, failure: null, nextTryMs: null };
const seen = new Map<string, Endpoint>();
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let running: Promise<void> | null = null;
let failures = 0;

function publish(next: EndpointState): void {
  state = next;
  listeners.forEach((listener) => listener());
}

async function fetchNow(): Promise<void> {
  try {
    const { data } = await getJson<Record<string, RawEndpoint[] | null>>('api/v1/stores');
    const now = Date.now();
    const current = readEndpoints(data);
    const keys = new Set(current.map((e) => `${e.type}/${e.name}`));
    for (const endpoint of current) seen.set(`${endpoint.type}/${endpoint.name}`, endpoint);
    const gone: Endpoint[] = [];
    for (const [key, endpoint] of seen) {
      if (keys.has(key)) continue;
      const left = { ...endpoint, leftAtMs: endpoint.leftAtMs ?? now };
      seen.set(key, left);
      gone.push(left);
    }
    failures = 0;
    publish({ endpoints: [...current, ...gone], fetchedAtMs: now, failure: null, nextTryMs: null });
  } catch (error) {
    const delay = BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)];
    const failure = error instanceof ApiFailure ? error : null;
    publish({ ...state, failure: failure ?? state.failure, nextTryMs: Date.now() + delay });
  }
}

export function refreshEndpoints(): Promise<void> {
  if (!running) {
    clearTimeout(timer);
    running = fetchNow().finally(() => {
      running = null;
      schedule();
    });
  }
  return running;
}

/** For a run of a query: a set older than this is asked for again. */
export function endpointsNotOlderThan(ageMs: number): Promise<void> {
  return state.fetchedAtMs !== null && Date.now() - state.fetchedAtMs < ageMs ? Promise.resolve() : refreshEndpoints();
}

function schedule(): void {
  clearTimeout(timer);
  if (listeners.size === 0 || document.hidden) return;
  timer = setTimeout(() => void refreshEndpoints(), state.nextTryMs ? Math.max(state.nextTryMs - Date.now(), 500) : POLL_MS);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else if (listeners.size > 0) void refreshEndpoints();
});

export function useEndpoints(): EndpointState {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      if (listeners.size === 1) void endpointsNotOlderThan(POLL_MS).then(schedule);
      return () => listeners.delete(listener);
    },
    () => state,
  );
}

export const isUp = (endpoint: Endpoint): boolean => endpoint.lastError === null && endpoint.leftAtMs === null;
