// The table of an instant query: a column per label that differs, sortable, filterable, virtual.
import { TextInput } from '@mantine/core';
import { useDeferredValue, useEffect, useMemo, useState } from 'react';
import type { Histogram, Instant, InstantRow } from '../api/query.worker';
import { seriesName, splitCommon, type Labels } from '../lib/labels';
import { formatCount, formatSample, sampleNumber } from '../lib/numbers';
import { formatTime, zoneMark } from '../lib/zone';
import { timingMark } from '../api/runner';
import { useApp } from '../shell/app';
import { Icon } from '../shell/icons';
import { useVirtual } from '../shell/useVirtual';

export interface TableRow {
  metric: Labels;
  text: string;
  histogram: Histogram | null;
  value: number;
  timeS: number;
}

export function tableRows(rows: readonly InstantRow[]): TableRow[] {
  const list: TableRow[] = [];
  const put = (metric: Labels, timeS: number, text: string) => list.push({ metric, text, histogram: null, value: sampleNumber(text), timeS });
  const putHistogram = (metric: Labels, timeS: number, h: Histogram) =>
    list.push({ metric, text: `count ${h.count}, sum ${h.sum}`, histogram: h, value: Number(h.sum), timeS });
  for (const row of rows) {
    if (row.value) put(row.metric, row.value[0], row.value[1]);
    if (row.histogram) putHistogram(row.metric, row.histogram[0], row.histogram[1]);
    for (const [timeS, text] of row.values ?? []) put(row.metric, timeS, text);
    for (const [timeS, h] of row.histograms ?? []) putHistogram(row.metric, timeS, h);
  }
  return list;
}

export function csvOf(rows: readonly TableRow[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].sort();
  const cell = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
  const lines = rows.map((row) => [...names.map((name) => row.metric[name] ?? ''), row.text, String(row.timeS)].map(cell).join(','));
  return [[...names, 'value', 'time'].map(cell).join(','), ...lines].join('\n') + '\n';
}

const ROW_PX = 26;
const FEW_LABELS = 8;

function Bars({ histogram }: { histogram: Histogram }) {
  const counts = (histogram.buckets ?? []).map((bucket) => Number(bucket[3]));
  const most = Math.max(...counts, 0);
  if (most === 0) return null;
  return (
    <svg className="bars" width={Math.min(counts.length * 4, 80)} height="16" viewBox={`0 0 ${counts.length * 4} 16`} preserveAspectRatio="none" aria-hidden="true">
      {counts.slice(0, 40).map((n, i) => <rect key={i} x={i * 4} width="3" y={16 - (n / most) * 15} height={(n / most) * 15} fill="currentColor" />)}
    </svg>
  );
}

function LabelText({ labels, skip }: { labels: Labels; skip?: ReadonlySet<string> }) {
  return <>{seriesName(labels, skip)}</>;
}

interface Props {
  instant: Instant;
  sort: string;
  onSort: (sort: string) => void;
}

export function TableView({ instant, sort, onSort }: Props) {
  const { zone } = useApp();
  const [filter, setFilter] = useState('');
  const deferred = useDeferredValue(filter);
  const rows = useMemo(() => tableRows(instant.rows), [instant]);
  const { common, varying } = useMemo(() => splitCommon(instant.rows.map((row) => row.metric)), [instant]);
  const [wide, setWide] = useState(true);
  const columns = wide && varying.length <= FEW_LABELS ? varying : [];
  const sameTime = rows.every((row) => row.timeS === rows[0].timeS);

  const shown = useMemo(() => {
    const words = deferred.toLowerCase().split(/\s+/).filter(Boolean);
    const list = words.length === 0 ? rows : rows.filter((row) => {
      const text = `${seriesName(row.metric)} ${row.text}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const [key, direction] = sort.split(':');
    if (!key) return list;
    const sign = direction === 'desc' ? -1 : 1;
    const of = key === 'value' ? (row: TableRow) => row.value
      : key === 'time' ? (row: TableRow) => row.timeS
        : key === 'series' ? (row: TableRow) => seriesName(row.metric)
          : (row: TableRow) => row.metric[key.slice(2)] ?? '';
    return [...list].sort((a, b) => {
      const x = of(a);
      const y = of(b);
      if (typeof x === 'number' && typeof y === 'number') return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : sign * (x - y);
      return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
    });
  }, [rows, deferred, sort]);
  const [view, attach] = useVirtual(shown.length, ROW_PX);

  useEffect(() => timingMark('athanor:drawn'), [rows]);
  const widthOf = (name: string) => {
    let longest = name.length + 2;
    for (let i = 0; i < Math.min(rows.length, 500); i++) longest = Math.max(longest, (rows[i].metric[name] ?? '').length);
    return Math.min(Math.max(longest * 7.4 + 24, 70), 340);
  };
  const header = (key: string, label: string, className?: string) => {
    const [by, direction] = sort.split(':');
    const state = by === key ? (direction === 'desc' ? 'descending' : 'ascending') : 'none';
    const next = state === 'none' ? `${key}:${key === 'value' ? 'desc' : 'asc'}` : state === (key === 'value' ? 'descending' : 'ascending') ? `${key}:${key === 'value' ? 'asc' : 'desc'}` : '';
    return (
      <th key={key} scope="col" aria-sort={state} className={className}>
        <button type="button" onClick={() => onSort(next)}>{label}<span aria-hidden="true" className="sort-mark">{state === 'none' ? '' : state === 'ascending' ? '↑' : '↓'}</span></button>
      </th>
    );
  };
  const commonNames = new Set(Object.keys(common));
  const isPlain = instant.resultType === 'scalar' || instant.resultType === 'string';

  return (
    <div className="table-view">
      <div className="table-tools">
        {!isPlain && commonNames.size > 0 && rows.length > 1 && (
          <p className="common-labels"><span className="muted">all</span> <code>{seriesName(common)}</code></p>
        )}
        {rows.length > 1 && (
          <TextInput
            size="xs" aria-label="Filter rows" placeholder="Filter rows" value={filter} leftSection={<Icon name="search" size={13} />}
            onChange={(event) => setFilter(event.currentTarget.value)} className="filter" data-filter
          />
        )}
        {varying.length > 0 && varying.length <= FEW_LABELS && !isPlain && (
          <button type="button" className="link-button" onClick={() => setWide(!wide)}>{wide ? 'Labels in one column' : 'A column per label'}</button>
        )}
        {shown.length !== rows.length && <span className="muted">{formatCount(shown.length)} of {formatCount(rows.length)} rows</span>}
      </div>
      <div className="table-scroll" ref={attach} tabIndex={0} role="region" aria-label="Result table">
        <table className="data" aria-rowcount={shown.length + 1}>
          <colgroup>
            {columns.length > 0 ? columns.map((name) => <col key={name} style={{ width: widthOf(name) }} />) : <col />}
            <col style={{ width: instant.rows.some((r) => r.histogram || r.histograms) ? 320 : 170 }} />
            {!sameTime && <col style={{ width: 180 }} />}
            {columns.length > 0 && <col />}
          </colgroup>
          <thead>
            <tr>
              {columns.length > 0
                ? columns.map((name) => header(`l_${name}`, name === '__name__' ? 'name' : name))
                : header('series', isPlain ? instant.resultType : 'series')}
              {header('value', 'value', 'number')}
              {!sameTime && header('time', `time (${zoneMark(zone, (rows[0]?.timeS ?? 0) * 1000)})`)}
              {columns.length > 0 && <td className="filler" />}
            </tr>
          </thead>
          <tbody>
            {view.before > 0 && <tr aria-hidden="true" style={{ height: view.before }}><td /></tr>}
            {shown.slice(view.start, view.end).map((row, n) => (
              <tr key={view.start + n} aria-rowindex={view.start + n + 2} style={{ height: ROW_PX }} className={(view.start + n) % 2 ? 'odd' : undefined}>
                {columns.length > 0
                  ? columns.map((name) => <td key={name} title={row.metric[name]}>{row.metric[name] ?? <span className="muted">–</span>}</td>)
                  : <td title={seriesName(row.metric)}><code>{isPlain ? '' : <LabelText labels={row.metric} skip={rows.length > 1 ? commonNames : undefined} />}</code></td>}
                <td className="number" title={row.text}>
                  {row.histogram ? <><Bars histogram={row.histogram} /> {row.text}</> : instant.resultType === 'string' ? row.text : formatSample(row.text)}
                </td>
                {!sameTime && <td className="time">{formatTime(zone, row.timeS * 1000, true)}</td>}
                {columns.length > 0 && <td className="filler" />}
              </tr>
            ))}
            {view.after > 0 && <tr aria-hidden="true" style={{ height: view.after }}><td /></tr>}
          </tbody>
        </table>
      </div>
    </div>
  );
}
