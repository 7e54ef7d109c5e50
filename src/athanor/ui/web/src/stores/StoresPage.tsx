// The endpoints: one table, sick ones first, their times as bars on one axis.
import { Button, NativeSelect, TextInput } from '@mantine/core';
import { Fragment, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { isUp, refreshEndpoints, useEndpoints, type Endpoint } from '../api/endpoints';
import { humanDuration } from '../lib/duration';
import { seriesName } from '../lib/labels';
import { formatTime, partsIn, shortDate, tickStepS, timeTicks, zoneMark } from '../lib/zone';
import { useApp } from '../shell/app';
import { config } from '../shell/config';
import { Icon } from '../shell/icons';
import { useShortcuts } from '../shell/keys';
import { useSearchValue } from '../shell/router';

const PAGE_ROWS = 90;
const SHOWN_SETS = 2;

type SortKey = 'state' | 'name' | 'type' | 'min' | 'max' | 'check';

const KNOWN_TYPES = ['sidecar', 'store', 'rule', 'query', 'receive', 'debug'];

function stateOf(endpoint: Endpoint): { state: 'ok' | 'bad' | 'warn'; word: string } {
  if (endpoint.leftAtMs !== null) return { state: 'warn', word: 'left' };
  return endpoint.lastError === null ? { state: 'ok', word: 'up' } : { state: 'bad', word: 'down' };
}

function LabelSets({ endpoint }: { endpoint: Endpoint }) {
  const [all, setAll] = useState(false);
  const sets = all ? endpoint.labelSets.slice(0, 60) : endpoint.labelSets.slice(0, SHOWN_SETS);
  const more = endpoint.labelSets.length - sets.length;
  if (endpoint.labelSets.length === 0) return <span className="muted">none</span>;
  return (
    <div className="label-sets">
      {sets.map((set, n) => (
        <code key={n} className="label-set" title={seriesName(set)}>
          {Object.entries(set).map(([name, value]) => (
            <span key={name} className="pair"><b>{name}</b>=&quot;{value}&quot;</span>
          ))}
        </code>
      ))}
      {(more > 0 || all) && endpoint.labelSets.length > SHOWN_SETS && (
        <button type="button" className="link-button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'fewer' : `${more} more`}
        </button>
      )}
    </div>
  );
}

function Message({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  const [isCut, setIsCut] = useState(false);
  const span = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const element = span.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setIsCut((was) => (element.clientHeight === 0 ? was : element.scrollHeight > element.clientHeight + 1)));
    observer.observe(element);
    return () => observer.disconnect();
  }, [text]);
  return (
    <div className={`message${open ? ' is-open' : ''}`}>
      <span ref={span}>{text}</span>
      {(isCut || open) && (
        <button type="button" className="link-button" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? 'less' : 'more'}</button>
      )}
    </div>
  );
}

interface Span {
  startMs: number;
  endMs: number;
}

/** The axis: from the oldest known time to now; an open end runs into the edge of the axis. */
function axisOf(endpoints: readonly Endpoint[], nowMs: number): Span {
  const times = endpoints.filter((e) => e.hasData).flatMap((e) => [e.minMs, e.maxMs]).filter((t): t is number => t !== null);
  const start = Math.min(...times, nowMs - 3_600_000);
  const end = Math.max(...times.filter((t) => t < nowMs + 7 * 86_400_000), nowMs);
  const pad = Math.max((end - start) * 0.02, 60_000);
  return { startMs: start - pad, endMs: end + pad };
}

function TimeBar({ endpoint, axis, nowMs, zone }: { endpoint: Endpoint; axis: Span; nowMs: number; zone: string }) {
  const share = (ms: number) => Math.max(0, Math.min(100, ((ms - axis.startMs) / (axis.endMs - axis.startMs)) * 100));
  const text = (ms: number | null) => (ms === null ? 'unbounded' : formatTime(zone, ms));
  const title = endpoint.hasData ? `${text(endpoint.minMs)} – ${text(endpoint.maxMs)}` : 'no data';
  const left = endpoint.minMs === null ? 0 : share(endpoint.minMs);
  const right = endpoint.maxMs === null ? 100 : share(endpoint.maxMs);
  const { state } = stateOf(endpoint);
  return (
    <div className="time-bar" title={title}>
      <span className="time-now" style={{ left: `${share(nowMs)}%` }} />
      {endpoint.hasData && (
        <span
          className={`time-span state-${state}${endpoint.minMs === null ? ' open-left' : ''}${endpoint.maxMs === null ? ' open-right' : ''}`}
          style={{ left: `${left}%`, width: `max(${Math.max(right - left, 0)}%, 3px)` }}
        />
      )}
    </div>
  );
}

function TimeAxis({ axis, zone }: { axis: Span; zone: string }) {
  const rangeS = (axis.endMs - axis.startMs) / 1000;
  const ticks = timeTicks(zone, axis.startMs / 1000, axis.endMs / 1000, tickStepS(rangeS, 3)).map((t) => t * 1000);
  const long = rangeS > 2 * 86_400;
  return (
    <div className="time-axis" aria-hidden="true">
      {ticks.map((t) => {
        const at = ((t - axis.startMs) / (axis.endMs - axis.startMs)) * 100;
        if (at > 92) return null;
        return <span key={t} style={{ left: `${at}%` }}>{long ? shortDate(zone, t) : partsIn(zone, t).time.slice(0, 5)}</span>;
      })}
    </div>
  );
}

export default function StoresPage() {
  const { zone } = useApp();
  const { endpoints, fetchedAtMs, failure, nextTryMs } = useEndpoints();
  const [q, setQ] = useSearchValue('q');
  const [type, setType] = useSearchValue('type');
  const [state, setState] = useSearchValue('state');
  const [sort, setSort] = useSearchValue('sort');
  const [pageNumber, setPageNumber] = useState(0);
  const [nowMs, setNowMs] = useState(Date.now());
  const filterRef = useRef<HTMLInputElement>(null);
  const deferredQ = useDeferredValue(q ?? '');

  useEffect(() => {
    document.title = `Endpoints · ${config.component} · Athanor`;
    const timer = setInterval(() => setNowMs(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  useShortcuts({ '/': () => filterRef.current?.focus() });

  const summary = useMemo(() => {
    const byType = new Map<string, { up: number; total: number }>();
    for (const endpoint of endpoints) {
      const entry = byType.get(endpoint.type) ?? { up: 0, total: 0 };
      entry.total++;
      if (isUp(endpoint)) entry.up++;
      byType.set(endpoint.type, entry);
    }
    const rank = (t: string) => (KNOWN_TYPES.includes(t) ? KNOWN_TYPES.indexOf(t) : KNOWN_TYPES.length);
    return [...byType].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
  }, [endpoints]);

  const rows = useMemo(() => {
    const words = deferredQ.toLowerCase().split(/\s+/).filter(Boolean);
    const list = endpoints.filter((e) => {
      if (type && e.type !== type) return false;
      if (state && (state === 'up') !== isUp(e)) return false;
      if (words.length === 0) return true;
      const text = `${e.name} ${e.type} ${e.lastError ?? ''} ${e.labelSets.map((set) => seriesName(set)).join(' ')}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const [key, direction] = (sort ?? '').split(':') as [SortKey | '', string | undefined];
    const sign = direction === 'desc' ? -1 : 1;
    const sick = (e: Endpoint) => (e.lastError !== null ? 0 : e.leftAtMs !== null ? 1 : 2);
    const byDefault = (a: Endpoint, b: Endpoint) => sick(a) - sick(b) || a.type.localeCompare(b.type) || a.name.localeCompare(b.name, undefined, { numeric: true });
    const value = (e: Endpoint): number | string => {
      switch (key) {
        case 'state': return sick(e);
        case 'name': return e.name;
        case 'type': return e.type;
        case 'min': return e.minMs ?? -Infinity;
        case 'max': return e.maxMs ?? Infinity;
        case 'check': return e.lastCheckMs ?? 0;
        default: return 0;
      }
    };
    return list.sort((a, b) => {
      const x = value(a);
      const y = value(b);
      const order = typeof x === 'number' && typeof y === 'number' ? (x === y ? 0 : x < y ? -1 : 1) : String(x).localeCompare(String(y), undefined, { numeric: true });
      return sign * order || byDefault(a, b);
    });
  }, [endpoints, deferredQ, type, state, sort]);

  const axis = useMemo(() => axisOf(endpoints, Date.now()), [endpoints]);
  const nPages = Math.max(1, Math.ceil(rows.length / PAGE_ROWS));
  const at = Math.min(pageNumber, nPages - 1);
  const up = endpoints.filter(isUp).length;

  const sortedBy = (key: SortKey) => {
    const [by, direction] = (sort ?? '').split(':');
    return by !== key ? 'none' : direction === 'desc' ? 'descending' : 'ascending';
  };
  const sortButton = (key: SortKey, label: string) => {
    const sorted = sortedBy(key);
    const next = sorted === 'none' ? `${key}:asc` : sorted === 'ascending' ? `${key}:desc` : null;
    return (
      <button type="button" onClick={() => setSort(next)}>{label}<span aria-hidden="true" className="sort-mark">{sorted === 'none' ? '' : sorted === 'ascending' ? '↑' : '↓'}</span></button>
    );
  };
  const header = (key: SortKey, label: string, className?: string) => (
    <th scope="col" role="columnheader" aria-sort={sortedBy(key)} className={className}>{sortButton(key, label)}</th>
  );
  const bound = (ms: number | null, endpoint: Endpoint) =>
    !endpoint.hasData ? <span className="muted">no data</span>
      : ms === null ? <span className="muted" title="This endpoint announces no limit">unbounded</span>
        : <span title={`${humanDuration(Math.abs(nowMs - ms))} ${ms > nowMs ? 'ahead' : 'ago'}`}>{formatTime(zone, ms)}</span>;

  return (
    <div className="stores-page">
      <div className="page-head">
        <h1>Endpoints</h1>
        <ul className="summary" aria-label="Endpoints by type">
          {summary.map(([name, { up: n, total }]) => (
            <li key={name}>
              <button
                type="button" className={`summary-item state-${n === total ? 'ok' : n === 0 ? 'bad' : 'warn'}`} aria-pressed={type === name}
                title={type === name ? 'Show all types' : `Show only ${name}`} onClick={() => setType(type === name ? null : name)}
              >
                <span className="state-shape" aria-hidden="true" /><span>{name}</span> <strong>{n}/{total}</strong> <span>up</span>
              </button>
            </li>
          ))}
        </ul>
      </div>
      {failure && (
        <section className="notice-line state-bad" role="alert">
          <span className="state-shape" aria-hidden="true" />
          <span>
            {fetchedAtMs !== null && <strong>Data from {partsIn(zone, fetchedAtMs).time}. </strong>}
            {failure.failure.title}: {failure.failure.text} {failure.failure.hint}
            {nextTryMs !== null && ` Next try in ${Math.max(0, Math.ceil((nextTryMs - nowMs) / 1000))} s.`}
          </span>
          <Button size="compact-xs" variant="default" onClick={() => void refreshEndpoints()}>Retry</Button>
        </section>
      )}
      <div className="table-tools">
        <TextInput
          ref={filterRef} size="xs" aria-label="Filter endpoints" placeholder="Filter by address, label, message" value={q ?? ''} className="filter wide"
          leftSection={<Icon name="search" size={13} />} onChange={(event) => setQ(event.currentTarget.value || null, 'replace')}
        />
        <NativeSelect size="xs" aria-label="State" value={state ?? ''} onChange={(event) => setState(event.currentTarget.value || null)}
          data={[{ value: '', label: 'All states' }, { value: 'up', label: 'Up' }, { value: 'down', label: 'Not up' }]} />
        <p className="statistics" role="status" data-testid="stores-status">
          {fetchedAtMs !== null && (
            <>
              <span><strong>{up} of {endpoints.length}</strong> up</span>
              {rows.length !== endpoints.length && <span>{rows.length} shown</span>}
              <span title={formatTime(zone, fetchedAtMs)}>as of {partsIn(zone, fetchedAtMs).time} {zoneMark(zone, fetchedAtMs)}</span>
            </>
          )}
        </p>
      </div>

      {fetchedAtMs === null && !failure && <div className="view-empty" role="status">Asking for the endpoints…</div>}
      {fetchedAtMs !== null && rows.length === 0 && (
        <div className="view-empty" role="status">
          <strong>{endpoints.length === 0 ? 'No endpoints' : 'No endpoint matches the filter'}</strong>
          {endpoints.length === 0
            ? <span className="muted">Start the server with <code>--endpoint=HOST:PORT</code> for each sidecar, store or rule. An endpoint that never answered is not listed by the API.</span>
            : <button type="button" className="link-button" onClick={() => { setQ(null); setType(null); setState(null); }}>Clear the filter</button>}
        </div>
      )}
      {rows.length > 0 && (
        <div className="stores-scroll">
          <table className="data stores" role="table" aria-label="Endpoints">
            <thead role="rowgroup">
              <tr role="row">
                {header('state', 'status', 'col-state')}
                {header('name', 'endpoint', 'col-name')}
                {header('type', 'type', 'col-type')}
                <th scope="col" role="columnheader" className="col-labels"><span className="plain-head">label sets</span></th>
                <th scope="col" role="columnheader" className="col-range" aria-sort={sort?.startsWith('min') || sort?.startsWith('max') ? (sort.endsWith('desc') ? 'descending' : 'ascending') : 'none'}>
                  <span className="range-head">{sortButton('min', `min time (${zoneMark(zone, nowMs)})`)}{sortButton('max', 'max time')}</span>
                  <TimeAxis axis={axis} zone={zone} />
                </th>
                {header('check', 'last check', 'col-check')}
              </tr>
            </thead>
            <tbody role="rowgroup">
              {rows.slice(at * PAGE_ROWS, (at + 1) * PAGE_ROWS).map((endpoint) => {
                const { state: s, word } = stateOf(endpoint);
                const message = endpoint.leftAtMs !== null
                  ? `Left the set at ${formatTime(zone, endpoint.leftAtMs)}${endpoint.lastError ? `; before: ${endpoint.lastError}` : ''}`
                  : endpoint.lastError;
                return (
                  <Fragment key={`${endpoint.type}/${endpoint.name}`}>
                  <tr role="row" className={`row-${s}${message ? ' has-message' : ''}`}>
                    <td role="cell" className="col-state"><span className={`badge state-${s}`}><span className="state-shape" aria-hidden="true" />{word}</span></td>
                    <td role="cell" className="col-name"><code>{endpoint.name}</code></td>
                    <td role="cell" className="col-type">{endpoint.type}</td>
                    <td role="cell" className="col-labels" data-label="labels"><LabelSets endpoint={endpoint} /></td>
                    <td role="cell" className="col-range">
                      <span className="range-text"><span><span className="visually-hidden">from </span>{bound(endpoint.minMs, endpoint)}</span><span><span className="visually-hidden">to </span>{bound(endpoint.maxMs, endpoint)}</span></span>
                      <TimeBar endpoint={endpoint} axis={axis} nowMs={nowMs} zone={zone} />
                    </td>
                    <td role="cell" className="col-check" data-label="checked">
                      {endpoint.lastCheckMs === null ? <span className="muted">never</span>
                        : <span title={formatTime(zone, endpoint.lastCheckMs, true)}>{humanDuration(Math.max(0, nowMs - endpoint.lastCheckMs))} ago</span>}
                    </td>
                  </tr>
                  {message && (
                    <tr role="row" className={`row-${s} message-row`}>
                      <td role="cell" colSpan={6}><Message text={message} /></td>
                    </tr>
                  )}
                  </Fragment>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
      {nPages > 1 && (
        <nav className="pager" aria-label="Pages of endpoints">
          <Button size="compact-xs" variant="default" disabled={at === 0} onClick={() => setPageNumber(at - 1)}>Previous</Button>
          <span>{at * PAGE_ROWS + 1}–{Math.min((at + 1) * PAGE_ROWS, rows.length)} of {rows.length}</span>
          <Button size="compact-xs" variant="default" disabled={at === nPages - 1} onClick={() => setPageNumber(at + 1)}>Next</Button>
        </nav>
      )}
    </div>
  );
}
