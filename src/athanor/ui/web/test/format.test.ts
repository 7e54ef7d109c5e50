import { describe, expect, it } from 'vitest';
import { formatDuration, humanDuration } from '../src/lib/duration';
import { assignSlots, labelHash, seriesName, splitCommon } from '../src/lib/labels';
import { formatCount, formatTicks, formatValue } from '../src/lib/numbers';
import { autoStepS, effectiveStep } from '../src/lib/step';
import { formatTime, fromWall, parseTime, timeTicks, zoneMark } from '../src/lib/zone';

describe('numbers', () => {
  it.each([
    [0, '0'], [1, '1'], [272.88421052631577, '272.88'], [9999, '9999'], [12345.678, '12.35k'], [140000, '140k'],
    [1.5e9, '1.5G'], [0.01, '0.01'], [0.0042, '4.2m'], [0.0000037, '3.7µ'], [-12345, '-12.35k'],
    [NaN, 'NaN'], [Infinity, '+Inf'], [-Infinity, '-Inf'],
  ])('%d reads %s', (value, text) => expect(formatValue(value)).toBe(text));

  it('ticks take only the digits they need and share one suffix', () => {
    expect(formatTicks([0, 50_000, 100_000, 150_000])).toEqual(['0', '50k', '100k', '150k']);
    expect(formatTicks([1, 1.5, 2])).toEqual(['1.0', '1.5', '2.0']);
    expect(formatTicks([245, 250, 255])).toEqual(['245', '250', '255']);
  });

  it('counts have thin spaces between thousands', () => expect(formatCount(12340)).toBe('12\u2009340'));
});

describe('durations for reading', () => {
  it.each([[412, '412 ms'], [3045, '3.04s'], [7_500_000, '2h 05m'], [65_000, '1m 05s'], [90_000_000, '1d 01h']])('%d', (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
  it.each([[3_600_000, '1h'], [604_800_000, '1w'], [86_400_000 * 8, '8d'], [5_054_602, '1h24m14s602ms']])('%d in a link', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe('steps', () => {
  it.each([[5, 1], [15, 5], [60, 15], [360, 120], [720, 300]])('a range of %d minutes has a step of %d s', (minutes, step) => {
    expect(autoStepS(minutes * 60_000, 1)).toBe(step);
  });
  it('a typed step that would ask for more than 11 000 points is raised, and says so', () => {
    expect(effectiveStep(86_400_000, 1, 1)).toEqual({ seconds: 8, raisedFromS: 1 });
    expect(effectiveStep(86_400_000, 60, 1)).toEqual({ seconds: 60, raisedFromS: null });
  });
});

describe('zones', () => {
  const noon = Date.UTC(2023, 10, 15, 12);
  it('prints the wall clock and the mark of the zone', () => {
    expect(formatTime('UTC', noon)).toBe('2023-11-15 12:00:00');
    expect(formatTime('Asia/Kolkata', noon)).toBe('2023-11-15 17:30:00');
    expect(zoneMark('Asia/Kolkata', noon)).toBe('+05:30');
    expect(zoneMark('America/New_York', noon)).toBe('-05:00');
  });
  it('reads back what it prints, on both sides of a change of the clocks', () => {
    for (const at of [Date.UTC(2023, 10, 5, 4), Date.UTC(2023, 10, 5, 7), Date.UTC(2023, 2, 12, 6), Date.UTC(2023, 2, 12, 8)]) {
      expect(parseTime(formatTime('America/New_York', at), 'America/New_York', 0, () => null)).toBe(at);
    }
  });
  it('the hour that does not exist is the time after it; the hour that exists twice is its first turn', () => {
    expect(fromWall('America/New_York', Date.UTC(2023, 2, 12, 2, 30))).toBe(Date.UTC(2023, 2, 12, 7, 30));
    expect(fromWall('America/New_York', Date.UTC(2023, 10, 5, 1, 30))).toBe(Date.UTC(2023, 10, 5, 5, 30));
  });
  it('ticks stand at round wall-clock times also across a change', () => {
    const ticks = timeTicks('America/New_York', Date.UTC(2023, 10, 5, 0) / 1000, Date.UTC(2023, 10, 5, 18) / 1000, 21_600);
    expect(ticks.map((t) => formatTime('America/New_York', t * 1000))).toEqual([
      '2023-11-05 00:00:00', '2023-11-05 06:00:00', '2023-11-05 12:00:00',
    ]);
  });
});

describe('labels', () => {
  it('names follow Prometheus', () => {
    expect(seriesName({ __name__: 'up', job: 'a', instance: 'b"c' })).toBe('up{instance="b\\"c", job="a"}');
    expect(seriesName({ __name__: 'up' })).toBe('up');
    expect(seriesName({})).toBe('{}');
  });
  it('common labels are those of every series with one value', () => {
    expect(splitCommon([{ a: '1', b: '1' }, { a: '1', b: '2' }])).toEqual({ common: { a: '1' }, varying: ['b'] });
  });
  it('a series keeps its colour when others come and go, and 32 series have 32 slots', () => {
    const hashes = Array.from({ length: 32 }, (_, n) => labelHash({ n: String(n) }));
    const slots = assignSlots(hashes, new Map());
    expect(new Set(slots.values()).size).toBe(32);
    const later = assignSlots([hashes[20], hashes[3]], slots);
    expect(later.get(hashes[20])).toBe(slots.get(hashes[20]));
    expect(later.get(hashes[3])).toBe(slots.get(hashes[3]));
  });
});
