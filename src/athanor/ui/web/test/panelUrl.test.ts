import { describe, expect, it } from 'vitest';
import { parseDuration } from '../src/lib/duration';
import { defaultPanel, queryRequest, readPage, writePage } from '../src/lib/panelUrl';

const NOW = Date.UTC(2026, 10, 24, 4, 0, 0);
const DEFAULTS = { engine: 'thanos', maxSourceResolution: '0s' };

const THANOS_LINK =
  '?g0.expr=sum%20by%20(job)%20(rate(http_requests_total%7Bcode%3D%22500%22%7D%5B5m%5D))&g0.tab=0&g0.stacked=1' +
  '&g0.range_input=6h&g0.max_source_resolution=5m&g0.deduplicate=0&g0.partial_response=0' +
  '&g0.store_matches=%5B%7B%22name%22%3A%2210.0.0.5%3A10901%22%7D%5D&g0.engine=thanos&g0.analyze=0&g0.tenant=' +
  '&g0.end_input=2023-11-15%2012%3A00%3A00&g0.moment_input=2023-11-15%2012%3A00%3A00&g0.step_input=60';

describe('links', () => {
  it('a link of Thanos with every key is read and written back byte for byte', () => {
    const { panels, page, notes } = readPage(THANOS_LINK, NOW);
    expect(notes).toEqual([]);
    expect(panels).toHaveLength(1);
    expect(panels[0]).toMatchObject({
      expr: 'sum by (job) (rate(http_requests_total{code="500"}[5m]))', tab: 'graph', stacked: true, rangeMs: 6 * 3_600_000,
      maxSourceResolution: '5m', dedup: false, partialResponse: false, storeMatches: ['10.0.0.5:10901'], engine: 'thanos',
      endMs: Date.UTC(2023, 10, 15, 12), stepS: 60,
    });
    expect(writePage(panels, page, DEFAULTS)).toBe(THANOS_LINK);
  });

  it('the link of a rule (four keys) means table, one hour, deduplicated, partial', () => {
    const { panels } = readPage('?g0.expr=up&g0.tab=1&g0.stacked=0&g0.range_input=1h', NOW);
    expect(panels[0]).toEqual({ ...defaultPanel(), expr: 'up' });
  });

  it('an unencoded = inside the expression is kept: only the first one separates', () => {
    expect(readPage('?g0.expr=up{job="x"}', NOW).panels[0].expr).toBe('up{job="x"}');
  });

  it('options before the expression count', () => {
    expect(readPage('?g0.tab=0&g0.range_input=2h&g0.expr=up', NOW).panels[0]).toMatchObject({
      expr: 'up', tab: 'graph', rangeMs: 7_200_000,
    });
  });

  it('holes in the numbering are closed', () => {
    const { panels, page } = readPage('?g1.expr=a&g7.expr=b', NOW);
    expect(panels.map((p) => p.expr)).toEqual(['a', 'b']);
    expect(writePage(panels, page, DEFAULTS)).toMatch(/^\?g0\.expr=a&.*&g1\.expr=b&/);
  });

  it('plus signs are blanks, as in Thanos', () => {
    expect(readPage('?g0.expr=a+%2B+b', NOW).panels[0].expr).toBe('a + b');
  });

  it('a bad range stays at one hour with a visible note', () => {
    const { panels, notes } = readPage('?g0.expr=up&g0.range_input=soon', NOW);
    expect(panels[0].rangeMs).toBe(3_600_000);
    expect(notes).toEqual(['g0.range_input: "soon" was not understood and left out']);
  });

  it.each([
    ['2026-11-24T03:55:00Z', Date.UTC(2026, 10, 24, 3, 55)],
    ['2026-11-24T03:55:00+01:00', Date.UTC(2026, 10, 24, 2, 55)],
    ['2026-11-24 03:55', Date.UTC(2026, 10, 24, 3, 55)],
    ['1700000060', 1_700_000_060_000],
    ['1700000060.5', 1_700_000_060_500],
    ['1700000060000', 1_700_000_060_000],
    ['now', NOW],
    ['now-1h', NOW - 3_600_000],
  ])('end_input=%s is understood', (text, expected) => {
    expect(readPage(`?g0.expr=up&g0.end_input=${encodeURIComponent(text)}`, NOW).panels[0].endMs).toBe(expected);
  });

  it.each(['yesterday', '2026-13-01', '2026-02-30 00:00:00', 'now-soon'])('end_input=%s is left out with a note', (text) => {
    const { panels, notes } = readPage(`?g0.expr=up&g0.end_input=${encodeURIComponent(text)}`, NOW);
    expect(panels[0].endMs).toBeNull();
    expect(notes).toHaveLength(1);
  });

  it('broken store_matches are left out with a note', () => {
    const { panels, notes } = readPage('?g0.expr=up&g0.store_matches=%5B%7Bbroken', NOW);
    expect(panels[0].storeMatches).toEqual([]);
    expect(notes).toHaveLength(1);
  });

  it('the dialect of Prometheus 3 is read', () => {
    const link = '?g0.expr=up&g0.show_tree=0&g0.tab=graph&g0.end_input=2023-11-15+12%3A00%3A00&g0.range_input=1h' +
      '&g0.res_type=fixed&g0.res_step=60&g0.display_mode=stacked&g0.y_axis_min=0&g0.show_exemplars=0';
    const { panels } = readPage(link, NOW);
    expect(panels[0]).toMatchObject({
      tab: 'graph', stepS: 60, stacked: true, y: 'zero', endMs: Date.UTC(2023, 10, 15, 12),
    });
    expect(readPage('?g0.expr=up&g0.res_type=auto&g0.res_density=medium', NOW).panels[0].stepS).toBeNull();
  });

  it('the classic dialect of Prometheus 2 is read', () => {
    const { panels } = readPage('?g0.range_input=1h&g0.end_input=2023-11-15%2012%3A00&g0.expr=up&g0.tab=0', NOW);
    expect(panels[0]).toMatchObject({ tab: 'graph', expr: 'up', endMs: Date.UTC(2023, 10, 15, 12) });
  });

  it('unknown keys are kept, of panels and of the page', () => {
    const { panels, page } = readPage('?g0.expr=up&g0.future=1&tz=Asia%2FKolkata&x=y', NOW);
    expect(writePage(panels, page, DEFAULTS)).toMatch(/&g0\.future=1&tz=Asia%2FKolkata&x=y$/);
  });

  it('our own keys come after those of Thanos, and a JSON view is a table for Thanos', () => {
    const panel = { ...defaultPanel(), expr: 'up', tab: 'graph' as const, view: 'json' as const, y: 'log' as const, hide: ['0123abcd'] };
    const url = writePage([panel], [], DEFAULTS);
    expect(url).toContain('&g0.tab=1&');
    expect(url).toMatch(/&g0\.tenant=&g0\.view=json&g0\.y=log&g0\.hide=0123abcd$/);
    expect(readPage(url, NOW).panels[0]).toMatchObject({ view: 'json', y: 'log', hide: ['0123abcd'] });
  });

  it('500 random query strings neither throw nor give something that does not survive a second reading', () => {
    let seed = 42;
    const random = (n: number) => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 1) % n;
    const alphabet = 'g01.=&%+"{}[]exprtabrange_inputstore_matchesend_input2 h:\u00e9';
    for (let n = 0; n < 500; n++) {
      const text = Array.from({ length: random(80) }, () => alphabet[random(alphabet.length)]).join('');
      const once = readPage(`?g0.expr=up&${text}`, NOW);
      const url = writePage(once.panels, once.page, DEFAULTS);
      const twice = readPage(url, NOW);
      expect(writePage(twice.panels, twice.page, DEFAULTS)).toBe(url);
    }
  });
});

describe('requests', () => {
  it('a graph asks for what Thanos asks, in the same order', () => {
    const panel = readPage(THANOS_LINK, NOW).panels[0];
    const request = queryRequest(panel, DEFAULTS, 60, NOW);
    expect(request.path).toBe('api/v1/query_range');
    expect(request.body).toEqual([
      ['query', 'sum by (job) (rate(http_requests_total{code="500"}[5m]))'], ['dedup', 'false'], ['partial_response', 'false'],
      ['storeMatch[]', '{__address__="10.0.0.5:10901"}'], ['start', '1700028000'], ['end', '1700049600'], ['step', '60'],
      ['max_source_resolution', '5m'], ['engine', 'thanos'], ['analyze', 'false'], ['tenant', ''],
    ]);
  });

  it('a table asks for what Thanos asks, in the same order', () => {
    const request = queryRequest({ ...defaultPanel(), expr: 'up', endMs: 1_700_000_060_000 }, DEFAULTS, 15, NOW);
    expect(request.path).toBe('api/v1/query');
    expect(request.body).toEqual([
      ['query', 'up'], ['dedup', 'true'], ['partial_response', 'true'], ['time', '1700000060'], ['engine', 'thanos'],
      ['analyze', 'false'], ['tenant', ''],
    ]);
  });
});

describe('durations', () => {
  it.each([['1h', 3_600_000], ['1h30m', 5_400_000], ['1w', 604_800_000], ['1h24m14s602ms', 5_054_602]])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
  it.each(['', '0', '1', 'h', '5m1h', '-1h', '1.5h'])('"%s" is none', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});
