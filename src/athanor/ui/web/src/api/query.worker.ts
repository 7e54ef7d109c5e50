// Off the main thread: fetch a query, read its answer into arrays.
import { NotMatrix, parseMatrix, type Matrix } from '../lib/matrix';
import { failureOf, unreachable, type Failure } from './errors';
import type { Labels } from '../lib/labels';

export interface RunMessage {
  id: number;
  url: string;
  body: string;
  headers: Record<string, string>;
  kind: 'range' | 'instant';
  startMs: number;
  endMs: number;
  stepS: number;
}

export interface Histogram {
  count: string;
  sum: string;
  buckets?: [number, string, string, string][];
}

export interface InstantRow {
  metric: Labels;
  value?: [number, string];
  histogram?: [number, Histogram];
  values?: [number, string][];
  histograms?: [number, Histogram][];
}

export interface Instant {
  resultType: string;
  rows: InstantRow[];
  warnings: string[];
  /** The beginning of the answer as it was sent, for the JSON view. */
  text: string;
  nBytes: number;
}

export type Outcome =
  | { id: number; matrix: Matrix; tookMs: number; readMs: number; traceId: string; nBytes: number }
  | { id: number; instant: Instant; tookMs: number; readMs: number; traceId: string; nBytes: number }
  | { id: number; failure: Failure; tookMs: number };

const SHOWN_TEXT_CHARS = 400_000;
const running = new Map<number, AbortController>();

interface Body {
  data?: { resultType?: string; result?: unknown };
  warnings?: string[];
  infos?: string[];
}

function readRange(bytes: Uint8Array, message: RunMessage): Matrix {
  try {
    return parseMatrix(bytes, message.startMs, message.endMs, message.stepS);
  } catch (error) {
    if (!(error instanceof NotMatrix)) throw error;
    // Another order of keys or blanks between them: brought into the usual form once, then read the usual way.
    const body = JSON.parse(new TextDecoder().decode(bytes)) as Body;
    if (body.data?.resultType !== 'matrix' || !Array.isArray(body.data.result)) {
      throw new Error(`the server answered a range query with "${body.data?.resultType}"`);
    }
    const result = (body.data.result as InstantRow[]).map(({ metric, values, histograms }) => ({ metric, values, histograms }));
    const text = JSON.stringify({ status: 'success', data: { resultType: 'matrix', result }, warnings: body.warnings, infos: body.infos });
    return parseMatrix(new TextEncoder().encode(text), message.startMs, message.endMs, message.stepS);
  }
}

function readInstant(text: string, nBytes: number): Instant {
  const body = JSON.parse(text) as Body;
  const resultType = body.data?.resultType ?? '';
  const result = body.data?.result;
  const rows: InstantRow[] =
    resultType === 'vector' || resultType === 'matrix'
      ? ((result ?? []) as InstantRow[])
      : Array.isArray(result) ? [{ metric: {}, value: result as [number, string] }] : [];
  return { resultType, rows, warnings: [...(body.warnings ?? []), ...(body.infos ?? [])], text: text.slice(0, SHOWN_TEXT_CHARS), nBytes };
}

async function run(message: RunMessage, signal: AbortSignal): Promise<{ outcome: Outcome; transfer: Transferable[] }> {
  const started = performance.now();
  const took = () => performance.now() - started;
  let response: Response;
  let bytes: Uint8Array;
  try {
    response = await fetch(message.url, {
      method: 'POST', body: message.body, cache: 'no-store', credentials: 'same-origin', signal,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...message.headers },
    });
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    if (signal.aborted) throw error;
    return { outcome: { id: message.id, failure: unreachable(error), tookMs: took() }, transfer: [] };
  }
  const tookMs = took();
  const common = { id: message.id, tookMs, traceId: response.headers.get('X-Thanos-Trace-ID') ?? '', nBytes: bytes.length };
  const contentType = response.headers.get('content-type') ?? '';
  // A large success is read without making a text of it first.
  if (response.ok && message.kind === 'range' && bytes[0] === 0x7b) {
    try {
      const matrix = readRange(bytes, message);
      return { outcome: { ...common, readMs: took() - tookMs, matrix }, transfer: [matrix.values.buffer, matrix.times.buffer] };
    } catch (error) {
      const failure = bytes.length < 5e6 ? failureOf(response.status, contentType, new TextDecoder().decode(bytes)) : null;
      return {
        outcome: { ...common, failure: failure ?? { status: response.status, title: 'Answer not understood', text: String(error), hint: '' } },
        transfer: [],
      };
    }
  }
  const text = new TextDecoder().decode(bytes);
  const failure = failureOf(response.status, contentType, text);
  if (failure) return { outcome: { ...common, failure }, transfer: [] };
  const instant = readInstant(text, bytes.length);
  return { outcome: { ...common, readMs: took() - tookMs, instant }, transfer: [] };
}

self.onmessage = (event: MessageEvent<RunMessage | { abort: number }>) => {
  const message = event.data;
  if ('abort' in message) {
    running.get(message.abort)?.abort();
    running.delete(message.abort);
    return;
  }
  const controller = new AbortController();
  running.set(message.id, controller);
  run(message, controller.signal)
    .then(({ outcome, transfer }) => {
      if (running.has(message.id)) (self as unknown as Worker).postMessage(outcome, transfer);
    })
    .catch((error: unknown) => {
      if (!controller.signal.aborted) {
        self.postMessage({ id: message.id, failure: unreachable(error), tookMs: 0 } satisfies Outcome);
      }
    })
    .finally(() => running.delete(message.id));
};
