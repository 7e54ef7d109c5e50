// The graph page: the panels of the address, and nothing that the address does not say.
import { Button } from '@mantine/core';
import { useEffect, useMemo, useRef, useState } from 'react';
import { getJson } from '../api/client';
import { parseDuration } from '../lib/duration';
import { defaultPanel, readPage, writePage, type PanelState } from '../lib/panelUrl';
import { config } from '../shell/config';
import { Icon } from '../shell/icons';
import { useShortcuts } from '../shell/keys';
import { setSearch, useLocation } from '../shell/router';
import { Panel, type PanelHandle } from './Panel';
import type { Defaults } from './useRun';

const FALLBACK: Defaults = { engine: 'prometheus', maxSourceResolution: '0s', stepS: 1 };
const FLAGS_WAIT_MS = 2_000;

/** What the server's flags say about defaults; a server that hides them gets Thanos' defaults. */
function useDefaults(): Defaults | null {
  const [defaults, setDefaults] = useState<Defaults | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), FLAGS_WAIT_MS);
    getJson<Record<string, string>>('api/v1/status/flags', [], controller.signal)
      .then(({ data }) => setDefaults({
        engine: data['query.promql-engine'] || FALLBACK.engine,
        maxSourceResolution: data['query.auto-downsampling'] === 'true' ? 'auto' : '0s',
        stepS: Math.max(1, Math.floor((parseDuration(data['query.default-step'] ?? '') ?? 1000) / 1000)),
      }))
      .catch(() => setDefaults(FALLBACK))
      .finally(() => clearTimeout(timer));
    return () => clearTimeout(timer);
  }, []);
  return defaults;
}

function Examples({ onChoose }: { onChoose: (expr: string) => void }) {
  const [names, setNames] = useState<string[]>([]);
  useEffect(() => {
    const controller = new AbortController();
    getJson<string[] | null>('api/v1/label/__name__/values', [['limit', '200']], controller.signal)
      .then(({ data }) => setNames(data ?? []))
      .catch(() => undefined);
    return () => controller.abort();
  }, []);
  const expressions = useMemo(() => {
    const counters = names.filter((name) => /_total$/.test(name));
    const buckets = names.filter((name) => /_bucket$/.test(name));
    const gauges = names.filter((name) => !/(_total|_bucket|_sum|_count|_info)$/.test(name));
    const list: string[] = [];
    if (names.includes('up')) list.push('up');
    if (counters[0]) list.push(`sum by (job) (rate(${counters[0]}[5m]))`);
    if (gauges.find((name) => name !== 'up')) list.push(gauges.find((name) => name !== 'up') as string);
    if (buckets[0]) list.push(`histogram_quantile(0.95, sum by (le) (rate(${buckets[0]}[5m])))`);
    return list;
  }, [names]);
  return (
    <>
      <strong>Type an expression and press Enter</strong>
      {expressions.length > 0 && (
        <ul className="examples" aria-label="Examples">
          {expressions.map((expr) => <li key={expr}><button type="button" onClick={() => onChoose(expr)}><code>{expr}</code></button></li>)}
        </ul>
      )}
      <span className="muted">Ctrl+Space completes names, ? lists all shortcuts</span>
    </>
  );
}

export default function GraphPage() {
  const { search } = useLocation();
  const defaults = useDefaults();
  const page = useMemo(() => readPage(search, Date.now()), [search]);
  const panels = page.panels.length > 0 ? page.panels : [defaultPanel()];
  const [notes, setNotes] = useState<string[]>(page.notes);
  const handles = useRef<(PanelHandle | null)[]>([]);
  const ids = useRef<number[]>([]);
  const nextId = useRef(0);
  while (ids.current.length < panels.length) ids.current.push(nextId.current++);
  ids.current.length = panels.length;

  const write = (next: readonly PanelState[], how: 'push' | 'replace') => {
    if (defaults) setSearch(writePage(next, page.page, defaults), how);
  };
  // The link as it was opened is brought into the common form without a step in the history.
  const first = useRef(true);
  useEffect(() => {
    if (!defaults || !first.current) return;
    first.current = false;
    if (page.panels.length > 0) setSearch(writePage(panels, page.page, defaults), 'replace');
  });
  useEffect(() => {
    const expr = panels[0].expr.trim().replace(/\s+/g, ' ');
    document.title = `${expr ? expr.slice(0, 60) : 'Graph'} · ${config.component} · Athanor`;
  }, [panels]);

  const change = (n: number, part: Partial<PanelState>, how: 'push' | 'replace' = 'push') =>
    write(panels.map((panel, i) => (i === n ? { ...panel, ...part } : panel)), how);
  const add = () => write([...panels, { ...defaultPanel(), tab: panels[panels.length - 1].tab, rangeMs: panels[panels.length - 1].rangeMs, endMs: panels[panels.length - 1].endMs }], 'push');
  const runAll = () => handles.current.slice(0, panels.length).forEach((handle) => handle?.run());

  const active = () => {
    const focused = document.activeElement?.closest('.panel');
    const at = focused ? [...document.querySelectorAll('.panel')].indexOf(focused) : 0;
    return handles.current[Math.max(at, 0)];
  };
  useShortcuts({
    '/': () => handles.current[0]?.focus(),
    n: add,
    '[': () => active()?.move(-1),
    ']': () => active()?.move(1),
    '-': () => active()?.zoom(true),
    '=': () => active()?.zoom(false),
    '1': () => active()?.show('graph'),
    '2': () => active()?.show('table'),
    '3': () => active()?.show('json'),
  });

  return (
    <div className="graph-page">
      <h1 className="visually-hidden">Graph</h1>
      {notes.length > 0 && (
        <section className="notice-line state-warn" role="status">
          <span className="state-shape" aria-hidden="true" />
          <span>{notes.join(' · ')}</span>
          <button type="button" className="clear-button" aria-label="Dismiss" onClick={() => setNotes([])}><Icon name="close" size={12} /></button>
        </section>
      )}
      {panels.map((panel, n) => (
        <Panel
          key={ids.current[n]} number={n} nPanels={panels.length} panel={panel} defaults={defaults}
          ref={(handle) => { handles.current[n] = handle; }}
          onChange={(part, how) => change(n, part, how)}
          onRemove={() => {
            ids.current.splice(n, 1);
            const rest = panels.filter((_, i) => i !== n);
            write(rest.length > 0 ? rest : [defaultPanel()], 'push');
          }}
          onDuplicate={() => {
            ids.current.splice(n + 1, 0, nextId.current++);
            write([...panels.slice(0, n + 1), { ...panel }, ...panels.slice(n + 1)], 'push');
          }}
          onRunAll={runAll}
          examples={n === 0 ? <Examples onChoose={(expr) => handles.current[0]?.set(expr)} /> : <strong>Type an expression and press Enter</strong>}
        />
      ))}
      <Button variant="default" size="xs" leftSection={<Icon name="plus" size={13} />} onClick={add} className="add-panel">Add panel</Button>
    </div>
  );
}
