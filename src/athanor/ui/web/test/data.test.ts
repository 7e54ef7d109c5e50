import { describe, expect, it } from 'vitest';
import { NotMatrix, parseMatrix } from '../src/lib/matrix';
import { reducedCapacity, reduceLine } from '../src/lib/reduce';

const bytes = (text: string) => new TextEncoder().encode(text);
const answer = (result: string, rest = ',"analysis":{}}}') =>
  bytes(`{"status":"success","data":{"resultType":"matrix","result":[${result}]${rest}`);

describe('matrix answers', () => {
  it('land on the grid of the request; missing steps are NaN', () => {
    const matrix = parseMatrix(
      answer('{"metric":{"__name__":"m","a":"x\\"]}"},"values":[[1700000000,"1.5"],[1700000030,"-2"],[1700000045.000,"1e-09"]]}'),
      1_700_000_000_000, 1_700_000_060_000, 15,
    );
    expect(Array.from(matrix.times)).toEqual([1700000000, 1700000015, 1700000030, 1700000045, 1700000060]);
    expect(Array.from(matrix.values)).toEqual([1.5, NaN, -2, 1e-9, NaN]);
    expect(matrix.metrics).toEqual([{ __name__: 'm', a: 'x"]}' }]);
    expect(matrix.stats[0]).toMatchObject({ n: 3, last: 1e-9, min: -2, max: 1.5 });
  });

  it.each(['272.88421052631577', '0.1', '1e+21', '5e-324', '123456789012345680', '9007199254740993', '-0.000001234567'])(
    'the value %s is read to the last bit', (text) => {
      const matrix = parseMatrix(answer(`{"metric":{},"values":[[0,"${text}"]]}`), 0, 0, 1);
      expect(matrix.stats[0].last).toBe(Number(text));
    });

  it('NaN and infinities are no points of the line but stay in the statistics', () => {
    const matrix = parseMatrix(answer('{"metric":{},"values":[[0,"NaN"],[1,"+Inf"],[2,"3"]]}'), 0, 2000, 1);
    expect(Array.from(matrix.values)).toEqual([NaN, NaN, 3]);
    expect(matrix.stats[0].max).toBe(Infinity);
  });

  it('warnings behind the result are found', () => {
    expect(parseMatrix(answer('', '},"warnings":["no <b>"]}'), 0, 1000, 1).warnings).toEqual(['no <b>']);
  });

  it('histograms count with their sum', () => {
    const matrix = parseMatrix(answer('{"metric":{},"histograms":[[0,{"count":"2","sum":"7.5"}]]}'), 0, 0, 1);
    expect(matrix.hasHistograms).toBe(true);
    expect(Array.from(matrix.values)).toEqual([7.5]);
  });

  it('anything else is refused, not misread', () => {
    for (const text of ['', '<html>', '{"status":"error"}', '{"status":"success","data":{"resultType":"vector","result":[]}}']) {
      expect(() => parseMatrix(bytes(text), 0, 1000, 1)).toThrow(NotMatrix);
    }
    expect(() => parseMatrix(answer('{"metric":{},"values":[[0,1]]}'), 0, 1000, 1)).toThrow(NotMatrix);
  });
});

describe('reduction', () => {
  const reduce = (values: number[], width: number) => {
    const array = Float64Array.from(values);
    const out = new Float64Array(reducedCapacity(values.length));
    const n = reduceLine(array, 0, 0, values.length - 1, (i) => (i * width) / values.length, out);
    return Array.from({ length: n }, (_, k) => [out[2 * k], out[2 * k + 1]]);
  };

  it('keeps the least and greatest value of every pixel column, equal to the plain search', () => {
    let seed = 7;
    const values = Array.from({ length: 11_000 }, () => (seed = (Math.imul(seed, 48271) >>> 0) % 2147483647) % 1000);
    values[5432] = 1e6;
    const width = 700;
    const columns = new Map<number, number[]>();
    values.forEach((v, i) => {
      const x = Math.floor((i * width) / values.length);
      columns.set(x, [...(columns.get(x) ?? []), v]);
    });
    const seen = new Map<number, number[]>();
    for (const [x, v] of reduce(values, width)) seen.set(Math.floor(x), [...(seen.get(Math.floor(x)) ?? []), v]);
    for (const [x, column] of columns) {
      const kept = seen.get(x) ?? [];
      expect(Math.min(...kept)).toBe(Math.min(...column));
      expect(Math.max(...kept)).toBe(Math.max(...column));
      expect(kept[0]).toBe(column[0]);
      expect(kept[kept.length - 1]).toBe(column[column.length - 1]);
      expect(kept.length).toBeLessThanOrEqual(4);
    }
  });

  it('keeps gaps, also those inside one column, and lone samples', () => {
    const points = reduce([1, 2, NaN, NaN, 5, NaN, 7], 3).map(([, v]) => v);
    expect(points).toEqual([1, 2, NaN, 5, NaN, 7]);
  });
});
