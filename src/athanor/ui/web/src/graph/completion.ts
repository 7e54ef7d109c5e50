// Names for the editor, asked for piece by piece: never the whole list of metrics.
import type { PrometheusClient } from '@prometheus-io/codemirror-promql';
import { getJson } from '../api/client';
import type { Pair } from '../lib/panelUrl';

export const NAME_LIMIT = 1000;
const LEAST_LETTERS = 2;
const DELAY_MS = 150;
const LOOKBACK_MS = 12 * 3_600_000;
const CACHED_LISTS = 60;

function regexEscape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\\/g, '\\\\').replace(/"/g, '\\"');
}

/** Answers kept for a while, the least recently used list goes first. */
const lists = new Map<string, { at: number; names: string[] }>();
const KEEP_MS = 300_000;

export class ApiCompletion implements PrometheusClient {
  private nameSearch: AbortController | null = null;
  private readonly all = new AbortController();
  /** The last answer was empty because too few letters were typed. */
  waitsForLetters = false;

  private async list(path: string, params: readonly Pair[], signal: AbortSignal): Promise<string[]> {
    const key = path + JSON.stringify(params);
    const known = lists.get(key);
    if (known && Date.now() - known.at < KEEP_MS) {
      lists.delete(key);
      lists.set(key, known);
      return known.names;
    }
    const now = Date.now();
    const times: Pair[] = [['start', String((now - LOOKBACK_MS) / 1000)], ['end', String(now / 1000)], ['limit', String(NAME_LIMIT)]];
    const { data } = await getJson<string[] | null>(path, [...params, ...times], signal);
    const names = data ?? [];
    lists.set(key, { at: now, names });
    const oldest = lists.keys().next().value;
    if (lists.size > CACHED_LISTS && oldest !== undefined) lists.delete(oldest);
    return names;
  }

  async metricNames(prefix = ''): Promise<string[]> {
    this.nameSearch?.abort();
    this.waitsForLetters = prefix.length < LEAST_LETTERS;
    if (this.waitsForLetters) return [];
    const search = new AbortController();
    this.nameSearch = search;
    await new Promise((resolve) => setTimeout(resolve, DELAY_MS));
    if (search.signal.aborted || this.all.signal.aborted) return [];
    try {
      return await this.list('api/v1/label/__name__/values', [['match[]', `{__name__=~"(?i).*${regexEscape(prefix)}.*"}`]], search.signal);
    } catch {
      return []; // completion is a help: a failure shows where the query itself is run
    }
  }

  async labelNames(metricName?: string): Promise<string[]> {
    return this.list('api/v1/labels', metricName ? [['match[]', metricName]] : [], this.all.signal).catch(() => []);
  }

  async labelValues(labelName: string, metricName?: string): Promise<string[]> {
    const path = `api/v1/label/${encodeURIComponent(labelName)}/values`;
    return this.list(path, metricName ? [['match[]', metricName]] : [], this.all.signal).catch(() => []);
  }

  async series(metricName: string): Promise<Map<string, string>[]> {
    try {
      const now = Date.now();
      const { data } = await getJson<Record<string, string>[] | null>(
        'api/v1/series',
        [['match[]', metricName], ['start', String((now - LOOKBACK_MS) / 1000)], ['end', String(now / 1000)], ['limit', String(NAME_LIMIT)]],
        this.all.signal,
      );
      return (data ?? []).map((labels) => new Map(Object.entries(labels)));
    } catch {
      return [];
    }
  }

  metricMetadata(): Promise<Record<string, { type: string; help: string }[]>> {
    return Promise.resolve({}); // asked for metric by metric, when its help is shown
  }

  async metadataOf(metric: string): Promise<{ type: string; help: string } | null> {
    const base = metric.replace(/(_count|_sum|_bucket|_total)$/, '');
    for (const name of metric === base ? [metric] : [metric, base]) {
      try {
        const { data } = await getJson<Record<string, { type: string; help: string }[]> | null>('api/v1/metadata', [['metric', name]], this.all.signal);
        const found = data?.[name]?.[0];
        if (found) return found;
      } catch {
        return null;
      }
    }
    return null;
  }

  flags(): Promise<Record<string, string>> {
    return Promise.resolve({});
  }

  destroy(): void {
    this.all.abort();
    this.nameSearch?.abort();
  }
}
