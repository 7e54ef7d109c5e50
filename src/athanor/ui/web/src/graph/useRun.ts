// The runs of one panel: start, cancel, the last good result, the last failure.
import { useCallback, useEffect, useRef, useState } from 'react';
import { endpointsNotOlderThan } from '../api/endpoints';
import type { Failure } from '../api/errors';
import type { Instant } from '../api/query.worker';
import { startRun } from '../api/runner';
import { queryRequest, type PanelState, type ServerDefaults } from '../lib/panelUrl';
import { effectiveStep, type Step } from '../lib/step';
import { apiUrl, config } from '../shell/config';
import type { RangeResult } from './GraphView';

export interface RunResult {
  range: RangeResult | null;
  instant: Instant | null;
  warnings: string[];
  expr: string;
  step: Step;
  tookMs: number;
  readMs: number;
  traceId: string;
  nSeries: number;
  nPoints: number;
  atMs: number;
  endMs: number;
}

export interface RunState {
  loading: boolean;
  sinceMs: number;
  result: RunResult | null;
  failure: Failure | null;
}

const IDLE: RunState = { loading: false, sinceMs: 0, result: null, failure: null };
const ENDPOINTS_AGE_MS = 10_000;

export interface Defaults extends ServerDefaults {
  stepS: number;
}

export function useRun(): [RunState, (panel: PanelState, defaults: Defaults, forceTracing: boolean) => void, () => void, () => void] {
  const [state, setState] = useState<RunState>(IDLE);
  const cancelRun = useRef<(() => void) | null>(null);

  const cancel = useCallback(() => {
    cancelRun.current?.();
    cancelRun.current = null;
    setState((s) => ({ ...s, loading: false }));
  }, []);
  const clear = useCallback(() => {
    cancelRun.current?.();
    cancelRun.current = null;
    setState(IDLE);
  }, []);
  useEffect(() => () => cancelRun.current?.(), []);

  const run = useCallback((panel: PanelState, defaults: Defaults, forceTracing: boolean) => {
    cancelRun.current?.();
    const nowMs = Date.now();
    const step = effectiveStep(panel.rangeMs, panel.stepS, defaults.stepS);
    const request = queryRequest(panel, defaults, step.seconds, nowMs);
    const headers: Record<string, string> = {};
    if (panel.tenant) headers[config.tenantHeader] = panel.tenant;
    if (forceTracing) headers['X-Thanos-Force-Tracing'] = 'true';
    setState((s) => ({ ...s, loading: true, sinceMs: nowMs }));
    void endpointsNotOlderThan(ENDPOINTS_AGE_MS);
    cancelRun.current = startRun(
      {
        url: apiUrl(request.path), headers,
        body: new URLSearchParams(request.body.map(([key, value]) => [key, value])).toString(),
        kind: request.path === 'api/v1/query_range' ? 'range' : 'instant',
        startMs: request.startMs, endMs: request.endMs, stepS: request.stepS,
      },
      (outcome) => {
        cancelRun.current = null;
        if ('failure' in outcome) {
          setState((s) => ({ ...s, loading: false, failure: outcome.failure }));
          return;
        }
        const common = { expr: panel.expr, step, tookMs: outcome.tookMs, readMs: outcome.readMs, traceId: outcome.traceId, atMs: nowMs, endMs: request.endMs };
        const result: RunResult = 'matrix' in outcome
          ? {
              ...common, instant: null, warnings: outcome.matrix.warnings, nSeries: outcome.matrix.metrics.length, nPoints: outcome.matrix.nPoints,
              range: { matrix: outcome.matrix, startMs: request.startMs, endMs: request.endMs, stepS: request.stepS },
            }
          : {
              ...common, range: null, instant: outcome.instant, warnings: outcome.instant.warnings, nSeries: outcome.instant.rows.length,
              nPoints: outcome.instant.rows.reduce((n, row) => n + Math.max(1, (row.values?.length ?? 0) + (row.histograms?.length ?? 0)), 0),
            };
        setState({ loading: false, sinceMs: 0, result, failure: null });
      },
    );
  }, []);
  return [state, run, cancel, clear];
}
