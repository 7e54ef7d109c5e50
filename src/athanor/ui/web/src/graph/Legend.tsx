// The legend: the same series as the chart, as a table with statistics; the equal alternative to the picture.
import { Checkbox, TextInput } from '@mantine/core';
import { useDeferredValue, useMemo, useState, type MouseEvent } from 'react';
import { seriesName, type Labels } from '../lib/labels';
import type { Matrix } from '../lib/matrix';
import { formatCount, formatValue } from '../lib/numbers';
import { useApp } from '../shell/app';
import { Icon } from '../shell/icons';
import { useVirtual } from '../shell/useVirtual';
import { colourOf, dashOf } from './chart';

const ROW_PX = 26;
const STATS = ['last', 'min', 'mean', 'max'] as const;

export function Swatch({ slot, dark }: { slot: number; dark: boolean }) {
  return (
    <svg className="swatch" width="22" height="8" aria-hidden="true">
      <line x1="1" x2="21" y1="4" y2="4" stroke={colourOf(slot, dark)} strokeWidth="3" strokeDasharray={dashOf(slot).join(' ')} />
    </svg>
  );
}

interface Props {
  matrix: Matrix;
  hashes: readonly string[];
  slots: ReadonlyMap<string, number>;
  common: Labels;
  hidden: ReadonlySet<string>;
  sort: string;
  onSort: (sort: string) => void;
  onHide: (hidden: readonly string[]) => void;
  onHover: (row: number | null) => void;
}

export function Legend({ matrix, hashes, slots, common, hidden, sort, onSort, onHide, onHover }: Props) {
  const { dark } = useApp();
  const [filter, setFilter] = useState('');
  const deferred = useDeferredValue(filter);
  const skip = useMemo(() => new Set(matrix.metrics.length > 1 ? Object.keys(common) : []), [common, matrix]);
  const names = useMemo(() => matrix.metrics.map((metric) => seriesName(metric, skip)), [matrix, skip]);
  const rows = useMemo(() => {
    const words = deferred.toLowerCase().split(/\s+/).filter(Boolean);
    const list = names.map((_, row) => row).filter((row) => words.every((word) => names[row].toLowerCase().includes(word)));
    const [key, direction] = sort.split(':');
    if (!key) return list;
    const sign = direction === 'asc' ? 1 : -1;
    if (key === 'name') return list.sort((a, b) => sign * names[a].localeCompare(names[b], undefined, { numeric: true }));
    if (!(STATS as readonly string[]).includes(key)) return list;
    const of = (row: number) => matrix.stats[row][key as (typeof STATS)[number]];
    return list.sort((a, b) => (Number.isNaN(of(a)) ? 1 : Number.isNaN(of(b)) ? -1 : sign * (of(a) - of(b))));
  }, [names, deferred, sort, matrix]);
  const [view, attach] = useVirtual(rows.length, ROW_PX);

  const toggle = (row: number) => {
    const hash = hashes[row];
    onHide(hidden.has(hash) ? [...hidden].filter((h) => h !== hash) : [...hidden, hash]);
  };
  const isolate = (row: number, event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey) return toggle(row);
    const others = hashes.filter((_, n) => n !== row);
    const isAlone = !hidden.has(hashes[row]) && others.every((hash) => hidden.has(hash));
    onHide(isAlone ? [] : others);
  };
  const header = (key: string, className?: string) => {
    const [by, direction] = sort.split(':');
    const state = by !== key ? 'none' : direction === 'asc' ? 'ascending' : 'descending';
    const next = state === 'none' ? `${key}:${key === 'name' ? 'asc' : 'desc'}` : state === 'descending' ? (key === 'name' ? '' : `${key}:asc`) : key === 'name' ? `${key}:desc` : '';
    return (
      <th scope="col" aria-sort={state} className={className} key={key}>
        <button type="button" onClick={() => onSort(next)}>{key}<span aria-hidden="true" className="sort-mark">{state === 'none' ? '' : state === 'ascending' ? '↑' : '↓'}</span></button>
      </th>
    );
  };

  return (
    <div className="legend">
      <div className="table-tools">
        {skip.size > 0 && <p className="common-labels"><span className="muted">all</span> <code>{seriesName(common)}</code></p>}
        {matrix.metrics.length > 8 && (
          <TextInput
            size="xs" aria-label="Filter series" placeholder="Filter series" value={filter} leftSection={<Icon name="search" size={13} />}
            onChange={(event) => setFilter(event.currentTarget.value)} className="filter"
          />
        )}
        {rows.length !== names.length && <span className="muted">{formatCount(rows.length)} of {formatCount(names.length)}</span>}
        {hidden.size > 0 && <button type="button" className="link-button" onClick={() => onHide([])}>Show all series</button>}
      </div>
      <div className="legend-scroll" ref={attach} onMouseLeave={() => onHover(null)} tabIndex={0} role="region" aria-label="Legend">
        <table className="data" aria-rowcount={rows.length + 1}>
          <colgroup>
            <col style={{ width: 28 }} /><col />
            {STATS.map((key) => <col key={key} className={`stat-${key}`} />)}
          </colgroup>
          <thead>
            <tr>
              <td />
              {header('name')}
              {STATS.map((key) => header(key, 'number'))}
            </tr>
          </thead>
          <tbody>
            {view.before > 0 && <tr aria-hidden="true" style={{ height: view.before }}><td /></tr>}
            {rows.slice(view.start, view.end).map((row, n) => {
              const hash = hashes[row];
              const off = hidden.has(hash);
              return (
                <tr
                  key={row} style={{ height: ROW_PX }} className={off ? 'is-off' : undefined} aria-rowindex={view.start + n + 2}
                  onMouseEnter={() => onHover(off ? null : row)}
                >
                  <td className="check">
                    <Checkbox size="xs" checked={!off} aria-label={`Draw ${names[row]}`} onChange={() => toggle(row)} />
                  </td>
                  <td className="series" title={seriesName(matrix.metrics[row])}>
                    <button type="button" onClick={(event) => isolate(row, event)} onFocus={() => onHover(off ? null : row)}>
                      <Swatch slot={slots.get(hash) ?? 0} dark={dark} />
                      <code>{names[row]}</code>
                    </button>
                  </td>
                  {STATS.map((key) => <td key={key} className="number" title={String(matrix.stats[row][key])}>{formatValue(matrix.stats[row][key])}</td>)}
                </tr>
              );
            })}
            {view.after > 0 && <tr aria-hidden="true" style={{ height: view.after }}><td /></tr>}
          </tbody>
        </table>
      </div>
    </div>
  );
}
