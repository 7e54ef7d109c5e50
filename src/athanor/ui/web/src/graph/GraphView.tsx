// The graph of a range query: chart, tooltip, legend, and the keyboard's way through them.
import 'uplot/dist/uPlot.min.css';
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { assignSlots, labelHash, seriesName, splitCommon } from '../lib/labels';
import type { Matrix } from '../lib/matrix';
import { formatCount, formatValue } from '../lib/numbers';
import type { PanelState } from '../lib/panelUrl';
import { formatTime, zoneMark } from '../lib/zone';
import { timingMark } from '../api/runner';
import { useApp } from '../shell/app';
import { Chart, colourOf, type CursorAt } from './chart';
import { Legend, Swatch } from './Legend';

const HEIGHT_PX = 380;
const MOST_DRAWN = 500;
const MOST_POINTS = 1_500_000;
const LEAST_DRAWN = 100;

export interface RangeResult {
  matrix: Matrix;
  startMs: number;
  endMs: number;
  stepS: number;
}

interface Props {
  result: RangeResult;
  panel: PanelState;
  partial: boolean;
  onChange: (change: Partial<PanelState>) => void;
  onZoom: (startMs: number, endMs: number) => void;
}

type Choice = 'largest' | 'smallest' | 'all';

export function GraphView({ result, panel, partial, onChange, onZoom }: Props) {
  const { zone, dark } = useApp();
  const { matrix } = result;
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<Chart | null>(null);
  const [cursor, setCursor] = useState<CursorAt | null>(null);
  const [choice, setChoice] = useState<Choice>('largest');
  const knownSlots = useRef(new Map<string, number>());
  const keyboard = useRef<{ index: number; from: number | null }>({ index: -1, from: null });

  const hashes = useMemo(() => matrix.metrics.map(labelHash), [matrix]);
  const slots = useMemo(() => {
    const assigned = assignSlots(hashes, knownSlots.current);
    for (const [hash, slot] of assigned) knownSlots.current.set(hash, slot);
    return assigned;
  }, [hashes]);
  const { common } = useMemo(() => splitCommon(matrix.metrics), [matrix]);
  const hidden = useMemo(() => {
    const kept = new Set(panel.hide.filter((item) => item.startsWith('-')).map((item) => item.slice(1)));
    return kept.size > 0 ? new Set(hashes.filter((hash) => !kept.has(hash))) : new Set(panel.hide);
  }, [panel.hide, hashes]);
  const hide = (list: readonly string[]) => {
    const off = new Set(list);
    const shown = hashes.filter((hash) => !off.has(hash));
    onChange({ hide: shown.length > 0 && shown.length < list.length ? shown.map((hash) => `-${hash}`) : list });
  };
  const limit = Math.max(LEAST_DRAWN, Math.min(MOST_DRAWN, Math.floor(MOST_POINTS / Math.max(matrix.times.length, 1))));
  const rows = useMemo(() => {
    const visible = matrix.metrics.map((_, row) => row).filter((row) => !hidden.has(hashes[row]));
    if (visible.length <= limit || choice === 'all') return visible;
    const sign = choice === 'largest' ? -1 : 1;
    const rank = (row: number) => (Number.isNaN(matrix.stats[row].max) ? -Infinity : matrix.stats[row].max);
    return [...visible].sort((a, b) => sign * (rank(a) - rank(b))).slice(0, limit).sort((a, b) => a - b);
  }, [matrix, hidden, hashes, choice, limit]);
  const nVisible = matrix.metrics.length - [...hidden].filter((hash) => slots.has(hash)).length;
  const skip = useMemo(() => new Set(matrix.metrics.length > 1 ? Object.keys(common) : []), [common, matrix]);

  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const { startMs, endMs, stepS } = result;
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    // A task of its own: the answer was read in this one, and no task may block the page for long.
    const timer = setTimeout(() => {
      chart.current = new Chart(
        element,
        {
          matrix, rows, slots: rows.map((row) => slots.get(hashes[row]) ?? 0), stacked: panel.stacked, y: panel.y, zone, dark, partial,
          startS: startMs / 1000, endS: endMs / 1000, heightPx: HEIGHT_PX,
        },
        {
          onCursor: setCursor,
          onZoom: (a, b) => zoom.current(a * 1000, b * 1000),
        },
      );
      timingMark('athanor:drawn');
    }, 0);
    const observer = new ResizeObserver(() => chart.current?.resize());
    observer.observe(element);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      chart.current?.destroy();
      chart.current = null;
      setCursor(null);
    };
  }, [matrix, rows, slots, hashes, panel.stacked, panel.y, zone, dark, partial, startMs, endMs, stepS]);

  const onKey = (event: KeyboardEvent) => {
    const c = chart.current;
    const last = matrix.times.length - 1;
    if (!c || last < 0) return;
    const k = keyboard.current;
    if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      const by = event.key === 'ArrowLeft' ? -1 : 1;
      if (event.shiftKey && k.from === null) k.from = Math.max(k.index, 0);
      k.index = k.index < 0 ? (by > 0 ? 0 : last) : Math.max(0, Math.min(last, k.index + by));
      c.moveTo(k.index);
      if (event.shiftKey && k.from !== null) c.select(k.from, k.index);
    } else if (event.key === 'Enter' && k.from !== null && k.from !== k.index) {
      const [a, b] = [Math.min(k.from, k.index), Math.max(k.from, k.index)];
      c.clearSelection();
      k.from = null;
      onZoom(matrix.times[a] * 1000, matrix.times[b] * 1000);
    } else if (event.key === 'Escape') {
      c.clearSelection();
      k.from = null;
      setCursor(null);
    } else return;
    event.preventDefault();
  };

  const valueAt = (row: number, index: number) => matrix.values[row * matrix.times.length + index];
  const cursorTime = cursor ? matrix.times[cursor.index] * 1000 : 0;
  const cursorText = cursor && cursor.row !== null
    ? `${formatTime(zone, cursorTime)}, ${seriesName(matrix.metrics[cursor.row], skip)}: ${formatValue(valueAt(cursor.row, cursor.index))}`
    : '';
  const summary = `Graph of ${formatCount(matrix.metrics.length)} series from ${formatTime(zone, startMs)} to ${formatTime(zone, endMs)} ${zoneMark(zone, endMs)}. The legend below has the same values as a table.`;
  const tipOnLeft = cursor !== null && chart.current !== null && cursor.left > chart.current.plotWidth / 2;

  return (
    <div className="graph-view">
      {nVisible > rows.length && (
        <p className="limited state-warn">
          <span className="state-shape" aria-hidden="true" />
          Showing the {formatCount(rows.length)} {choice === 'smallest' ? 'smallest' : 'largest'} of {formatCount(nVisible)} series
          <button type="button" className="link-button" onClick={() => setChoice(choice === 'smallest' ? 'largest' : 'smallest')}>{choice === 'smallest' ? 'largest' : 'smallest'} instead</button>
          <button type="button" className="link-button" onClick={() => setChoice('all')}>all of them (slow)</button>
        </p>
      )}
      {matrix.hasHistograms && <p className="muted small">Native histograms are drawn as their sums.</p>}
      <div
        className="chart-focus" tabIndex={0} role="group" aria-label="Chart: arrow keys move the cursor, Shift selects, Enter zooms"
        onKeyDown={onKey} onMouseLeave={() => setCursor(null)}
      >
        <div className="chart" ref={host} role="img" aria-label={summary} data-testid="chart" style={{ height: HEIGHT_PX }} />
        {cursor?.dot && cursor.row !== null && (
          <span className="cursor-dot" style={{ left: cursor.dot.left, top: cursor.dot.top, background: colourOf(slots.get(hashes[cursor.row]) ?? 0, dark) }} />
        )}
        {cursor && cursor.row !== null && (
          <div className="tooltip" style={{ top: Math.min(cursor.top + 10, HEIGHT_PX - 130), ...(tipOnLeft ? { right: (chart.current?.plotWidth ?? 0) - cursor.left + 32 } : { left: cursor.left + 82 }) }}>
            <div className="tooltip-time">{formatTime(zone, cursorTime, stepS < 1)} {zoneMark(zone, cursorTime)}</div>
            <div className="tooltip-value">
              <Swatch slot={slots.get(hashes[cursor.row]) ?? 0} dark={dark} />
              <strong title={String(valueAt(cursor.row, cursor.index))}>{formatValue(valueAt(cursor.row, cursor.index), 6)}</strong>
            </div>
            <dl>
              {Object.entries(matrix.metrics[cursor.row]).filter(([name]) => !skip.has(name)).slice(0, 12).map(([name, value]) => (
                <div key={name}><dt>{name === '__name__' ? 'name' : name}</dt><dd>{value}</dd></div>
              ))}
            </dl>
          </div>
        )}
      </div>
      <div className="visually-hidden" aria-live="polite">{cursorText}</div>
      <Legend
        matrix={matrix} hashes={hashes} slots={slots} common={common} hidden={hidden} sort={panel.sort}
        onSort={(sort) => onChange({ sort })} onHide={hide} onHover={(row) => chart.current?.highlight(row)}
      />
    </div>
  );
}
