// The chart: uPlot for axes, cursor and selection; lines drawn from typed arrays by a path builder of ours.
import uPlot from 'uplot';
import { DASHES, N_HUES } from '../lib/labels';
import { formatTicks } from '../lib/numbers';
import { reducedCapacity, reduceLine } from '../lib/reduce';
import { partsIn, shortDate, tickStepS, timeTicks } from '../lib/zone';
import type { Matrix } from '../lib/matrix';
import type { YAxis } from '../lib/panelUrl';

export interface ChartInput {
  matrix: Matrix;
  /** Rows of the matrix, in the order of drawing. */
  rows: readonly number[];
  slots: readonly number[];
  stacked: boolean;
  y: YAxis;
  zone: string;
  dark: boolean;
  partial: boolean;
  startS: number;
  endS: number;
  heightPx: number;
}

export interface CursorAt {
  index: number;
  /** Row of the nearest line, and where the cursor is, in CSS pixels of the plot. */
  row: number | null;
  left: number;
  top: number;
  /** Where the nearest line is, in CSS pixels from the edges of the chart. */
  dot: { left: number; top: number } | null;
}

export interface ChartEvents {
  onCursor: (at: CursorAt | null) => void;
  onZoom: (startS: number, endS: number) => void;
}

const LIGHT = ['#204d72', '#ba5d53', '#05a0ae', '#a409f7', '#b08d1b', '#500e0a', '#8774dd', '#3a017a'];
const DARK = ['#32a6d1', '#e98f4a', '#97fda9', '#8a57f3', '#f2d53d', '#de365d', '#ebebeb', '#a3a3a3'];

export function colourOf(slot: number, dark: boolean): string {
  return (dark ? DARK : LIGHT)[slot % N_HUES];
}

export function dashOf(slot: number): readonly number[] {
  return DASHES[Math.floor(slot / N_HUES) % DASHES.length];
}

function niceRange(min: number, max: number, y: YAxis): [number, number] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return y === 'log' ? [0.1, 10] : [0, 1];
  if (y === 'log') {
    const low = min > 0 ? min : Math.max(max, 1e-9) / 1e6;
    return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(Math.max(max, low * 1.0001)))];
  }
  let [low, high] = y === 'zero' ? [Math.min(0, min), Math.max(0, max)] : [min, max];
  if (low === high) {
    const pad = low === 0 ? 1 : Math.abs(low) * 0.1;
    [low, high] = [low - pad, high + pad];
  } else {
    const pad = (high - low) * 0.06;
    high = y === 'zero' && max <= 0 ? high : high + pad;
    low = (y === 'zero' || low >= 0) && low - pad < 0 && low >= 0 ? (y === 'zero' ? 0 : Math.max(0, low - pad)) : low - pad;
  }
  return [low, high];
}

export class Chart {
  private readonly plot: uPlot;
  private readonly overlay: HTMLCanvasElement;
  private readonly lines: Float64Array[];
  private readonly scratch: Float64Array;
  private readonly below: Float64Array;
  private highlighted: number | null = null;

  constructor(private readonly host: HTMLElement, private readonly input: ChartInput, private readonly events: ChartEvents) {
    const { matrix, rows, dark, zone } = input;
    const nSteps = matrix.times.length;
    this.scratch = new Float64Array(reducedCapacity(nSteps));
    this.below = new Float64Array(reducedCapacity(nSteps));
    this.lines = rows.map((row) => matrix.values.subarray(row * nSteps, (row + 1) * nSteps));
    if (input.stacked) this.lines = this.stack();
    const [low, high] = this.valueRange();
    const style = getComputedStyle(document.documentElement);
    const soft = style.getPropertyValue('--text-soft').trim();
    const grid = style.getPropertyValue('--grid').trim();
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const yTicks = (_: uPlot, ticks: number[]) => formatTicks(ticks);

    this.plot = new uPlot(
      {
        width: Math.max(host.clientWidth, 120),
        height: input.heightPx,
        pxAlign: false,
        legend: { show: false },
        padding: [10, 14, 0, 0],
        cursor: {
          drag: { x: true, y: false, setScale: false, dist: 4 },
          points: { show: false },
          y: false,
          dataIdx: (_, __, index) => index,
        },
        scales: {
          x: { time: false, auto: false, range: () => [input.startS, Math.max(input.endS, input.startS + 1)] },
          y: { auto: false, distr: input.y === 'log' ? 3 : 1, log: 10, range: () => [low, high] },
        },
        axes: [
          {
            stroke: soft, font, size: 38, gap: 6, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 },
            splits: (u, _axis, min, max) => timeTicks(zone, min, max, tickStepS(max - min, Math.floor((u.bbox.width / devicePixelRatio) / 90))),
            values: (_, ticks) => this.timeLabels(ticks, zone),
          },
          {
            stroke: soft, font, gap: 6, grid: { stroke: grid, width: 1 }, ticks: { show: false },
            size: (_u, values) => Math.max(40, ...(values ?? []).map((v) => (v ?? '').length * 6.6 + 14)),
            values: input.y === 'log'
              ? (_u, ticks) => ticks.map((t) => (Number.isInteger(Math.round(Math.log10(t) * 1e6) / 1e6) ? formatTicks([t])[0] : ''))
              : yTicks,
          },
        ],
        series: [
          {},
          ...rows.map((_, n): uPlot.Series => ({
            auto: false,
            stroke: colourOf(input.slots[n], dark),
            fill: input.stacked ? `${colourOf(input.slots[n], dark)}59` : undefined,
            width: rows.length > 100 ? 1 : 1.6,
            dash: [...dashOf(input.slots[n])],
            points: { show: false },
            paths: (u, seriesIndex, first, last) => this.paths(u, seriesIndex - 1, first, last),
          })),
        ],
        hooks: {
          setCursor: [() => this.cursorMoved()],
          setSelect: [(u) => this.selected(u)],
          draw: [(u) => input.partial && this.drawPartialMark(u)],
        },
      },
      [matrix.times, ...this.lines] as unknown as uPlot.AlignedData,
      host,
    );
    this.plot.setScale('x', { min: input.startS, max: Math.max(input.endS, input.startS + 1) });
    this.plot.setScale('y', { min: low, max: high });
    this.overlay = document.createElement('canvas');
    this.overlay.className = 'chart-overlay';
    this.plot.over.append(this.overlay);
  }

  destroy(): void {
    this.plot.destroy();
  }

  resize(): void {
    const width = Math.max(this.host.clientWidth, 120);
    if (width !== this.plot.width) this.plot.setSize({ width, height: this.input.heightPx });
    if (this.highlighted !== null) this.highlight(this.highlighted);
  }

  /** Moves the cursor to a grid point, as the arrow keys do. */
  moveTo(index: number): void {
    const left = this.plot.valToPos(this.input.matrix.times[index], 'x');
    this.plot.setCursor({ left, top: this.plot.over.clientHeight / 2 });
  }

  select(fromIndex: number, toIndex: number): void {
    const a = this.plot.valToPos(this.input.matrix.times[Math.min(fromIndex, toIndex)], 'x');
    const b = this.plot.valToPos(this.input.matrix.times[Math.max(fromIndex, toIndex)], 'x');
    this.plot.setSelect({ left: a, width: b - a, top: 0, height: this.plot.over.clientHeight }, false);
  }

  clearSelection(): void {
    this.plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  get plotWidth(): number {
    return this.plot.over.clientWidth;
  }

  /** One line above all others, which fade: one small canvas instead of a new drawing of everything. */
  highlight(row: number | null): void {
    this.highlighted = row;
    const at = row === null ? -1 : this.input.rows.indexOf(row);
    this.plot.root.classList.toggle('is-faded', at >= 0);
    const ratio = devicePixelRatio;
    const { width, height, left, top } = this.plot.bbox;
    const context = this.overlay.getContext('2d');
    if (!context) return;
    if (at < 0) {
      context.clearRect(0, 0, this.overlay.width, this.overlay.height);
      return;
    }
    this.overlay.width = Math.round(width);
    this.overlay.height = Math.round(height);
    this.overlay.style.width = `${width / ratio}px`;
    this.overlay.style.height = `${height / ratio}px`;
    context.translate(-left, -top);
    context.strokeStyle = colourOf(this.input.slots[at], this.input.dark);
    context.lineWidth = 2.5 * ratio;
    context.lineJoin = 'round';
    context.setLineDash(dashOf(this.input.slots[at]).map((n) => n * ratio));
    context.stroke(this.line(this.plot, at, 0, this.input.matrix.times.length - 1));
  }

  private timeLabels(ticks: number[], zone: string): string[] {
    return ticks.map((tick, n) => {
      const { time, date } = partsIn(zone, tick * 1000);
      const text = time.endsWith(':00') ? time.slice(0, 5) : time;
      const newDay = n === 0 || date !== partsIn(zone, ticks[n - 1] * 1000).date;
      return newDay ? `${text}\n${shortDate(zone, tick * 1000)}` : text;
    });
  }

  private valueRange(): [number, number] {
    const { matrix, rows, stacked, y } = this.input;
    let min = Infinity;
    let max = -Infinity;
    if (stacked) {
      for (const line of this.lines) for (const v of line) if (v > max) max = v; else if (v < min) min = v;
      min = Math.min(0, min);
    } else {
      const nSteps = matrix.times.length;
      for (const row of rows) {
        const { min: low, max: high } = matrix.stats[row];
        if (Number.isFinite(low) && Number.isFinite(high)) {
          if (low < min) min = low;
          if (high > max) max = high;
        } else {
          for (const v of matrix.values.subarray(row * nSteps, (row + 1) * nSteps)) {
            if (v < min) min = v;
            if (v > max) max = v;
          }
        }
      }
    }
    return niceRange(min, max, stacked && y === 'auto' ? 'zero' : y);
  }

  /** Running sums; a missing value adds nothing. */
  private stack(): Float64Array[] {
    const nSteps = this.input.matrix.times.length;
    const total = new Float64Array(nSteps);
    return this.lines.map((line) => {
      for (let i = 0; i < nSteps; i++) if (!Number.isNaN(line[i])) total[i] += line[i];
      return total.slice();
    });
  }

  private axes(u: uPlot): { xOf: (i: number) => number; yOf: (v: number) => number } {
    const { left, top, width, height } = u.bbox;
    const times = this.input.matrix.times;
    const minX = u.scales.x.min as number;
    const scaleX = width / ((u.scales.x.max as number) - minX);
    const low = u.scales.y.min as number;
    const high = u.scales.y.max as number;
    const xOf = (i: number) => left + (times[i] - minX) * scaleX;
    if (this.input.y === 'log') {
      const logLow = Math.log10(low);
      const scaleLog = height / (Math.log10(high) - logLow);
      return { xOf, yOf: (v) => top + height - (Math.log10(v > 0 ? v : low / 10) - logLow) * scaleLog };
    }
    const scaleY = height / (high - low);
    return { xOf, yOf: (v) => top + height - (v - low) * scaleY };
  }

  private line(u: uPlot, at: number, first: number, last: number): Path2D {
    const { xOf, yOf } = this.axes(u);
    const n = reduceLine(this.lines[at], 0, first, last, xOf, this.scratch);
    const path = new Path2D();
    const points = this.scratch;
    let open = false;
    for (let k = 0; k < n; k++) {
      const x = points[2 * k];
      const v = points[2 * k + 1];
      if (Number.isNaN(v)) {
        open = false;
        continue;
      }
      const y = yOf(v);
      if (open) path.lineTo(x, y);
      else if (k + 1 >= n || Number.isNaN(points[2 * k + 3])) {
        // A lone sample: a line of no length would not be seen.
        const r = 1.25 * devicePixelRatio;
        path.rect(x - r, y - r, 2 * r, 2 * r);
      } else {
        path.moveTo(x, y);
        open = true;
      }
    }
    return path;
  }

  private paths(u: uPlot, at: number, first: number, last: number): uPlot.Series.Paths {
    const stroke = this.line(u, at, first, last);
    if (!this.input.stacked) return { stroke, flags: 1 };
    const { xOf, yOf } = this.axes(u);
    const fill = new Path2D();
    const n = reduceLine(this.lines[at], 0, first, last, xOf, this.scratch);
    for (let k = 0; k < n; k++) fill.lineTo(this.scratch[2 * k], yOf(this.scratch[2 * k + 1]));
    if (at > 0) {
      const m = reduceLine(this.lines[at - 1], 0, first, last, xOf, this.below);
      for (let k = m - 1; k >= 0; k--) fill.lineTo(this.below[2 * k], yOf(this.below[2 * k + 1]));
    } else {
      fill.lineTo(xOf(last), yOf(0));
      fill.lineTo(xOf(first), yOf(0));
    }
    fill.closePath();
    return { stroke, fill, flags: 1 };
  }

  private cursorMoved(): void {
    const { left, top, idx } = this.plot.cursor;
    if (idx === null || idx === undefined || left === undefined || top === undefined || left < 0) {
      this.events.onCursor(null);
      return;
    }
    let nearest: number | null = null;
    let distance = Infinity;
    const { yOf } = this.axes(this.plot);
    const want = top * devicePixelRatio + this.plot.bbox.top;
    for (let n = 0; n < this.lines.length; n++) {
      const v = this.lines[n][idx];
      if (Number.isNaN(v)) continue;
      const d = Math.abs(yOf(v) - want);
      if (d < distance) {
        distance = d;
        nearest = this.input.rows[n];
      }
    }
    const at = nearest === null ? -1 : this.input.rows.indexOf(nearest);
    const dot = at < 0 ? null : {
      left: this.plot.valToPos(this.input.matrix.times[idx], 'x') + this.plot.bbox.left / devicePixelRatio,
      top: yOf(this.lines[at][idx]) / devicePixelRatio,
    };
    this.events.onCursor({ index: idx, row: nearest, left, top, dot });
  }

  private selected(u: uPlot): void {
    if (u.select.width < 4) return;
    const from = u.posToVal(u.select.left, 'x');
    const to = u.posToVal(u.select.left + u.select.width, 'x');
    this.clearSelection();
    this.events.onZoom(from, to);
  }

  /** A hatched corner that says "partial"; it is part of the picture, also when that is copied. */
  private drawPartialMark(u: uPlot): void {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    const style = getComputedStyle(document.documentElement);
    ctx.save();
    ctx.font = `600 ${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    const width = ctx.measureText('partial').width + 16 * ratio;
    const height = 20 * ratio;
    const x = bbox.left + bbox.width - width;
    const y = bbox.top;
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
    ctx.fillStyle = style.getPropertyValue('--warn-soft').trim();
    ctx.fillRect(x, y, width, height);
    ctx.strokeStyle = style.getPropertyValue('--warn').trim();
    ctx.globalAlpha = 0.35;
    ctx.lineWidth = 1 * ratio;
    for (let d = -height; d < width; d += 6 * ratio) {
      ctx.beginPath();
      ctx.moveTo(x + d, y + height);
      ctx.lineTo(x + d + height, y);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    ctx.fillStyle = style.getPropertyValue('--warn').trim();
    ctx.textBaseline = 'middle';
    ctx.textAlign = 'left';
    ctx.fillText('partial', x + 8 * ratio, y + height / 2);
    ctx.restore();
  }
}
