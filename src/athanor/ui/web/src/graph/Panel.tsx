// One panel: editor, options, coverage, result.
import { ActionIcon, Button, Checkbox, Menu, NativeSelect, Tabs, TextInput } from '@mantine/core';
import { lazy, Suspense, useEffect, useImperativeHandle, useMemo, useRef, useState, type Ref } from 'react';
import { useEndpoints } from '../api/endpoints';
import { formatDuration, humanDuration } from '../lib/duration';
import { formatCount } from '../lib/numbers';
import { queryRequest, type PanelState } from '../lib/panelUrl';
import { autoStepS, effectiveStep } from '../lib/step';
import { formatTime, zoneMark } from '../lib/zone';
import { useApp } from '../shell/app';
import { copyText } from '../shell/copy';
import { apiUrl, config } from '../shell/config';
import { Icon } from '../shell/icons';
import { PREF, remember, usePref } from '../shell/prefs';
import { narrowerRange, RangeControl, StepControl, TimeControl, widerRange } from './controls';
import { Coverage, isCoveragePartial, useCoverage, Warnings } from './Coverage';
import type { EditorHandle } from './Editor';
import { Failed } from './Failed';
import { csvOf, TableView, tableRows } from './TableView';
import { useRun, type Defaults } from './useRun';

const Editor = lazy(() => import('./Editor'));
const GraphView = lazy(() => import('./GraphView').then((m) => ({ default: m.GraphView })));

export interface PanelHandle {
  run: () => void;
  focus: () => void;
  set: (text: string) => void;
  move: (by: number) => void;
  zoom: (wider: boolean) => void;
  show: (view: 'graph' | 'table' | 'json') => void;
}

interface Props {
  panel: PanelState;
  number: number;
  nPanels: number;
  defaults: Defaults | null;
  onChange: (change: Partial<PanelState>, how?: 'push' | 'replace') => void;
  onRemove: () => void;
  onDuplicate: () => void;
  onRunAll: () => void;
  examples: React.ReactNode;
  ref?: Ref<PanelHandle>;
}

const SOURCES = [
  { value: '0s', label: 'Only raw data' },
  { value: 'auto', label: 'Auto downsampling' },
  { value: '5m', label: 'Max 5m downsampling' },
  { value: '1h', label: 'Max 1h downsampling' },
];

function download(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

const shellQuote = (text: string) => `'${text.replace(/'/g, `'\\''`)}'`;

export function Panel({ panel, number, nPanels, defaults, onChange, onRemove, onDuplicate, onRunAll, examples, ref }: Props) {
  const { zone, tick, refresh } = useApp();
  const editor = useRef<EditorHandle>(null);
  const [state, startRun, cancel, clear] = useRun();
  const [forceTracing, setForceTracing] = useState(false);
  const [nonce, setNonce] = useState(0);
  const [elapsed, setElapsed] = useState(0);
  const [autocomplete, setAutocomplete] = usePref<boolean>(PREF.autocomplete, true);
  const [highlighting, setHighlighting] = usePref<boolean>(PREF.highlighting, true);
  const [linter, setLinter] = usePref<boolean>(PREF.linter, true);
  const [queryHistory, setQueryHistory] = usePref<boolean>(PREF.queryHistory, false);
  const { endpoints } = useEndpoints();
  const view = panel.view === 'json' ? 'json' : panel.tab;

  // Defaults are filled in: a link that does not name them and the same link written out are one question.
  const requestKey = JSON.stringify([
    panel.expr, view, panel.tab === 'graph' ? panel.rangeMs : 0, panel.maxSourceResolution ?? defaults?.maxSourceResolution, panel.dedup,
    panel.partialResponse, panel.engine ?? defaults?.engine, panel.analyze, panel.tenant, panel.endMs, panel.stepS, forceTracing, panel.storeMatches,
  ]);
  const latest = useRef({ panel, defaults, forceTracing });
  latest.current = { panel, defaults, forceTracing };

  // Every change of what is asked runs the query; `nonce` is the same question again.
  const ready = defaults !== null;
  useEffect(() => {
    const { panel: p, defaults: d, forceTracing: trace } = latest.current;
    if (d === null) return;
    if (p.expr.trim() === '') clear();
    else startRun(p, d, trace);
  }, [requestKey, nonce, ready, startRun, clear]);

  // The refresh clock never aborts a run: a query slower than the clock would not come to its end.
  const loadingNow = useRef(false);
  loadingNow.current = state.loading;
  useEffect(() => {
    if (tick > 0 && !loadingNow.current) setNonce((n) => n + 1);
  }, [tick]);

  useEffect(() => {
    if (!state.loading) {
      setElapsed(0);
      return;
    }
    const timer = setInterval(() => setElapsed(Date.now() - state.sinceMs), 200);
    return () => clearInterval(timer);
  }, [state.loading, state.sinceMs]);

  const run = () => {
    const text = editor.current?.text() ?? panel.expr;
    remember(text);
    if (text !== panel.expr) onChange({ expr: text, hide: [], sort: '' });
    else setNonce((n) => n + 1);
  };
  const show = (next: 'graph' | 'table' | 'json') =>
    onChange(next === 'json' ? { tab: 'table', view: 'json' } : { tab: next, view: '', sort: '' });
  const move = (by: number) => onChange({ endMs: Math.round(((panel.endMs ?? Date.now()) + by * (panel.rangeMs / 2)) / 1000) * 1000 });

  useImperativeHandle(ref, () => ({
    run,
    focus: () => editor.current?.focus(),
    set: (text) => {
      editor.current?.set(text);
      remember(text);
      onChange({ expr: text });
    },
    move,
    zoom: (wider) => onChange({ rangeMs: wider ? widerRange(panel.rangeMs) : narrowerRange(panel.rangeMs) }),
    show,
  }));

  const { result, failure, loading } = state;
  // A result of another kind (graph, then table) is no old data of this view.
  const fits = result !== null && (view === 'graph' ? result.range !== null : result.instant !== null);
  const shown = fits ? result : null;
  const warnings = shown?.warnings ?? [];
  const coverage = useCoverage(panel.storeMatches, warnings);
  const partial = shown !== null && isCoveragePartial(coverage, warnings);
  const isOld = shown !== null && (loading || failure !== null);
  const step = effectiveStep(panel.rangeMs, panel.stepS, defaults?.stepS ?? 1);

  const zoomTo = (startMs: number, endMs: number) => {
    // Rounded to the step before it is asked: what the address says is what was asked, also after a reload.
    const unit = Math.max(1, step.seconds) * 1000;
    const end = Math.round(endMs / unit) * unit;
    const range = Math.max(unit, Math.round((endMs - startMs) / unit) * unit);
    onChange({ endMs: end, rangeMs: range });
  };

  const curl = () => {
    const request = queryRequest(panel, defaults ?? { engine: 'prometheus', maxSourceResolution: '0s' }, step.seconds, Date.now());
    return [`curl ${shellQuote(apiUrl(request.path))}`, ...request.body.map(([key, value]) => `--data-urlencode ${shellQuote(`${key}=${value}`)}`)].join(' \\\n  ');
  };
  const csv = () => {
    if (!shown) return '';
    if (shown.instant) return csvOf(tableRows(shown.instant.rows));
    if (!shown.range) return '';
    const { matrix } = shown.range;
    const rows = matrix.metrics.flatMap((metric, row) =>
      Array.from(matrix.times, (timeS, n) => ({ metric, text: String(matrix.values[row * matrix.times.length + n]), histogram: null, value: 0, timeS })).filter((r) => r.text !== 'NaN'));
    return csvOf(rows);
  };

  const emptyText = useMemo(() => {
    if (!shown || shown.nSeries > 0) return null;
    const at = `${formatTime(zone, shown.endMs)} ${zoneMark(zone, shown.endMs)}`;
    const asked = [
      view === 'graph' ? `the ${formatDuration(panel.rangeMs)} before ${at}` : at,
      panel.dedup ? 'deduplicated' : 'not deduplicated',
      panel.tenant ? `tenant ${panel.tenant}` : '',
      panel.storeMatches.length > 0 ? `only ${panel.storeMatches.join(', ')}` : '',
    ].filter(Boolean).join(' · ');
    const maxima = endpoints.filter((e) => e.leftAtMs === null && e.hasData).map((e) => e.maxMs);
    const minima = endpoints.filter((e) => e.leftAtMs === null && e.hasData).map((e) => e.minMs);
    let hint = 'Is the metric name right? Completion (Ctrl+Space) shows the names that exist.';
    if (maxima.length > 0 && maxima.every((ms) => ms !== null && ms < shown.endMs - panel.rangeMs)) {
      const last = Math.max(...(maxima as number[]));
      hint = `The newest data of all endpoints is from ${formatTime(zone, last)} ${zoneMark(zone, last)}.`;
    } else if (minima.length > 0 && minima.every((ms) => ms !== null && ms > shown.endMs)) {
      const first = Math.min(...(minima as number[]));
      hint = `The oldest data of all endpoints is from ${formatTime(zone, first)} ${zoneMark(zone, first)}.`;
    }
    return { asked, hint };
  }, [shown, zone, view, panel.rangeMs, panel.dedup, panel.tenant, panel.storeMatches, endpoints]);

  const engine = panel.engine ?? defaults?.engine ?? 'prometheus';
  const source = panel.maxSourceResolution ?? defaults?.maxSourceResolution ?? '0s';

  return (
    <section className="panel" aria-label={`Panel ${number + 1}`}>
      <div className="editor-row">
        <Suspense fallback={<div className="editor editor-waiting">{panel.expr || '\u00a0'}</div>}>
          <Editor ref={editor} value={panel.expr} label={`Expression of panel ${number + 1}`} autoFocus={number === 0 && panel.expr === ''} onRun={run} onRunAll={onRunAll} />
        </Suspense>
        {loading && elapsed >= 1_000
          ? <Button size="sm" color="gray" variant="default" className="run-button" leftSection={<Icon name="stop" size={13} />} onClick={cancel}>Cancel</Button>
          : <Button size="sm" className="run-button" leftSection={<Icon name="play" size={13} />} onClick={run}>Run</Button>}
        <Menu position="bottom-end" withInitialFocusPlaceholder={false}>
          <Menu.Target>
            <ActionIcon variant="default" size={36} aria-label={`Menu of panel ${number + 1}`}><Icon name="dots" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<Icon name="link" size={14} />} onClick={() => void copyText(window.location.href)}>Copy link</Menu.Item>
            <Menu.Item leftSection={<Icon name="code" size={14} />} onClick={() => void copyText(curl())}>Copy as curl</Menu.Item>
            <Menu.Item leftSection={<Icon name="copy" size={14} />} disabled={!shown} onClick={() => void copyText(csv())}>Copy as CSV</Menu.Item>
            <Menu.Item leftSection={<Icon name="download" size={14} />} disabled={!shown} onClick={() => download('athanor.csv', csv())}>Download CSV</Menu.Item>
            <Menu.Divider />
            <Menu.Item leftSection={<Icon name="plus" size={14} />} onClick={onDuplicate}>Duplicate panel</Menu.Item>
            <Menu.Item leftSection={<Icon name="trash" size={14} />} onClick={onRemove} disabled={nPanels === 1 && panel.expr === ''}>Remove panel</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      </div>

      <div className="options" role="group" aria-label="Query options">
        <Checkbox size="xs" label="Deduplicate" title="Use deduplication" checked={panel.dedup} onChange={(event) => onChange({ dedup: event.currentTarget.checked })} />
        <Checkbox size="xs" label="Partial response" title="Answer also when an endpoint fails" checked={panel.partialResponse} onChange={(event) => onChange({ partialResponse: event.currentTarget.checked })} />
        <NativeSelect size="xs" aria-label="Engine" value={engine} data={[{ value: 'prometheus', label: 'Prometheus engine' }, { value: 'thanos', label: 'Thanos engine' }, ...(engine === 'prometheus' || engine === 'thanos' ? [] : [{ value: engine, label: engine }])]} onChange={(event) => onChange({ engine: event.currentTarget.value })} />
        <NativeSelect size="xs" aria-label="Downsampling" value={source} data={SOURCES.some((s) => s.value === source) ? SOURCES : [...SOURCES, { value: source, label: `Max ${source} downsampling` }]} onChange={(event) => onChange({ maxSourceResolution: event.currentTarget.value })} />
        {config.displayTenantBox !== 'none' && (
          <TextInput size="xs" aria-label="Tenant" placeholder={config.defaultTenant} defaultValue={panel.tenant} className="tenant-field" leftSection={<span className="field-mark">tenant</span>} leftSectionWidth={52}
            onBlur={(event) => onChange({ tenant: event.currentTarget.value })} onKeyDown={(event) => event.key === 'Enter' && onChange({ tenant: event.currentTarget.value })} />
        )}
        <Menu position="bottom-start" withInitialFocusPlaceholder={false}>
          <Menu.Target>
            <Button size="compact-xs" variant="default" className="option-button" rightSection={<Icon name="down" size={11} />}>
              {panel.storeMatches.length > 0 ? `${panel.storeMatches.length} of ${endpoints.length} stores` : 'All stores'}
            </Button>
          </Menu.Target>
          <Menu.Dropdown className="store-menu">
            <Menu.Label>Ask only these endpoints</Menu.Label>
            {[...new Set([...endpoints.map((e) => e.name), ...panel.storeMatches])].sort().slice(0, 90).map((name) => {
              const on = panel.storeMatches.includes(name);
              return (
                <Menu.CheckboxItem key={name} checked={on} onChange={() => onChange({ storeMatches: on ? panel.storeMatches.filter((n) => n !== name) : [...panel.storeMatches, name] })}>
                  {name}
                </Menu.CheckboxItem>
              );
            })}
            {endpoints.length === 0 && <Menu.Item disabled>No endpoints known</Menu.Item>}
            <Menu.Divider />
            <Menu.Item onClick={() => onChange({ storeMatches: [] })} disabled={panel.storeMatches.length === 0}>All endpoints</Menu.Item>
          </Menu.Dropdown>
        </Menu>
        <Menu position="bottom-start" withInitialFocusPlaceholder={false}>
          <Menu.Target>
            <Button size="compact-xs" variant="default" className="option-button" rightSection={<Icon name="down" size={11} />}>More</Button>
          </Menu.Target>
          <Menu.Dropdown>
            {([
              ['Force tracing', forceTracing, setForceTracing],
              ['Completion', autocomplete, setAutocomplete],
              ['Highlighting', highlighting, setHighlighting],
              ['Linter', linter, setLinter],
              ['Past queries in completion', queryHistory, setQueryHistory],
            ] as const).map(([label, on, set]) => (
              <Menu.CheckboxItem key={label} checked={on} onChange={() => set(!on)}>{label}</Menu.CheckboxItem>
            ))}
          </Menu.Dropdown>
        </Menu>
      </div>

      <div className={`progress${loading ? ' is-on' : ''}`} aria-hidden="true" />
      <Coverage coverage={coverage} warnings={warnings} hasRun={shown !== null} />
      {failure && <Failed failure={failure} expr={panel.expr} onRetry={() => setNonce((n) => n + 1)} />}
      <Warnings warnings={warnings} />

      <Tabs value={view} onChange={(next) => next && show(next as 'graph' | 'table' | 'json')} className="result-tabs" keepMounted={false}>
        <div className="tabs-row">
          <Tabs.List>
            <Tabs.Tab value="graph" leftSection={<Icon name="lines" size={14} />}>Graph</Tabs.Tab>
            <Tabs.Tab value="table" leftSection={<Icon name="table" size={14} />}>Table</Tabs.Tab>
            <Tabs.Tab value="json" leftSection={<Icon name="code" size={14} />}>JSON</Tabs.Tab>
          </Tabs.List>
          <p className="statistics" data-testid="statistics">
            {loading && elapsed >= 1_000 && <span>{humanDuration(elapsed)}…</span>}
            {shown && (
              <>
                {isOld && !loading && <span className="old-mark">old result</span>}
                <span title={`Until the whole answer was here; reading it took ${humanDuration(shown.readMs)} more`}>{humanDuration(shown.tookMs)}</span>
                <span>{formatCount(shown.nSeries)} series</span>
                {view === 'graph' && <span>{formatCount(shown.nPoints)} points</span>}
                {view === 'graph' && <span>step {formatDuration(shown.step.seconds * 1000)}</span>}
                {shown.step.raisedFromS !== null && view === 'graph' && <span className="old-mark">raised from {formatDuration(shown.step.raisedFromS * 1000)}: at most 11 000 points</span>}
                {shown.traceId && <span>trace {shown.traceId}</span>}
                {refresh && <span>at {formatTime(zone, shown.atMs).slice(11)}</span>}
              </>
            )}
          </p>
        </div>
        <Tabs.Panel value={view}>
          <div className="view-controls">
            {view === 'graph' && <RangeControl rangeMs={panel.rangeMs} onChange={(rangeMs) => onChange({ rangeMs })} />}
            <TimeControl label={view === 'graph' ? 'End time' : 'Evaluation time'} endMs={panel.endMs} rangeMs={panel.rangeMs} onChange={(endMs) => onChange({ endMs })} />
            {view === 'graph' && (
              <>
                <StepControl stepS={panel.stepS} autoS={autoStepS(panel.rangeMs, defaults?.stepS ?? 1)} onChange={(stepS) => onChange({ stepS })} />
                <div className="joined" role="group" aria-label="Drawing">
                  <button type="button" className="toggle" aria-pressed={!panel.stacked} title="Lines" aria-label="Lines" onClick={() => onChange({ stacked: false })}><Icon name="lines" size={15} /></button>
                  <button type="button" className="toggle" aria-pressed={panel.stacked} title="Stacked" aria-label="Stacked" onClick={() => onChange({ stacked: true })}><Icon name="stack" size={15} /></button>
                </div>
                <NativeSelect size="xs" aria-label="Y axis" value={panel.y} data={[{ value: 'auto', label: 'y auto' }, { value: 'zero', label: 'y from 0' }, { value: 'log', label: 'y log' }]} onChange={(event) => onChange({ y: event.currentTarget.value as PanelState['y'] })} />
              </>
            )}
          </div>
          <div className={`view${isOld ? ' is-old' : ''}`} aria-busy={loading}>
            {shown === null && !failure && (loading
              ? <div className="view-empty" role="status">Waiting for the answer…</div>
              : panel.expr.trim() === '' ? <div className="view-empty">{examples}</div> : <div className="view-empty">Not asked yet.</div>)}
            {emptyText && (
              <div className="view-empty" role="status">
                <strong>No series match</strong>
                <span>{emptyText.asked}</span>
                <span className="muted">{emptyText.hint}</span>
              </div>
            )}
            {shown && shown.nSeries > 0 && view === 'graph' && shown.range && (
              <Suspense fallback={<div className="view-empty" role="status">Drawing…</div>}>
                <GraphView result={shown.range} panel={panel} partial={partial} onZoom={zoomTo} onChange={(change) => onChange(change)} />
              </Suspense>
            )}
            {shown?.instant && shown.nSeries > 0 && view === 'table' && <TableView instant={shown.instant} sort={panel.sort} onSort={(sort) => onChange({ sort }, 'replace')} />}
            {shown?.instant && view === 'json' && (
              <div className="json-view">
                <pre tabIndex={0} aria-label="Answer as JSON">{prettyJson(shown.instant.text)}</pre>
                {shown.instant.nBytes > shown.instant.text.length && <p className="muted">The first {formatCount(shown.instant.text.length)} of {formatCount(shown.instant.nBytes)} bytes.</p>}
              </div>
            )}
          </div>
        </Tabs.Panel>
      </Tabs>
    </section>
  );
}

function prettyJson(text: string): string {
  if (text.length > 100_000) return text.slice(0, 100_000);
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
