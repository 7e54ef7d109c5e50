// The frame of every page: the bar with links, health, zone, refresh, theme and help.
import { ActionIcon, NativeSelect } from '@mantine/core';
import { lazy, Suspense, useEffect, useState, type MouseEvent, type ReactNode } from 'react';
import { isUp, refreshEndpoints, useEndpoints } from '../api/endpoints';
import { browserZone, zoneMark } from '../lib/zone';
import { REFRESH_CHOICES, useApp, type Theme } from './app';
import { config } from './config';
import { Icon, Mark } from './icons';
import { useShortcuts } from './keys';
import { hrefOf, navigate, useLocation } from './router';

const HelpDialog = lazy(() => import('./HelpDialog'));
const ZoneDialog = lazy(() => import('./ZoneDialog'));

const PAGES = [
  { path: '/graph', label: 'Graph' },
  { path: '/stores', label: 'Endpoints' },
] as const;

const THEMES: readonly { theme: Theme; label: string; icon: 'sun' | 'moon' | 'auto' }[] = [
  { theme: 'light', label: 'Use light theme', icon: 'sun' },
  { theme: 'dark', label: 'Use dark theme', icon: 'moon' },
  { theme: 'auto', label: 'Use browser-preferred theme', icon: 'auto' },
];

export function PageLink({ path, className, children, current }: { path: string; className?: string; children: ReactNode; current?: boolean }) {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(path);
  };
  return (
    <a href={hrefOf(path)} className={className} onClick={follow} aria-current={current ? 'page' : undefined}>
      {children}
    </a>
  );
}

function HealthPill() {
  const { endpoints, fetchedAtMs, failure } = useEndpoints();
  const total = endpoints.length;
  const up = endpoints.filter(isUp).length;
  let state = 'ok';
  let text = `${up}/${total}`;
  let words = `${up} of ${total} endpoints up`;
  if (failure) {
    state = 'bad';
    text = 'offline';
    words = 'The server does not answer';
  } else if (fetchedAtMs === null) {
    state = 'idle';
    text = '…';
    words = 'Asking for the endpoints';
  } else if (total === 0) {
    state = 'warn';
    words = 'No endpoints';
  } else if (up < total) state = up === 0 ? 'bad' : 'warn';
  return (
    <PageLink path="/stores" className={`pill state-${state}`}>
      <span className="state-shape" aria-hidden="true" />
      <span className="pill-text">{text}</span>
      <span className="pill-words" role="status">{words}</span>
    </PageLink>
  );
}

function ZoneSelect({ onOther }: { onOther: () => void }) {
  const { zone, setZone } = useApp();
  const own = browserZone();
  const options = [{ value: 'UTC', label: 'UTC' }];
  if (own !== 'UTC') options.push({ value: own, label: `${own.replace(/_/g, ' ')} (browser)` });
  if (zone !== 'UTC' && zone !== own) options.push({ value: zone, label: zone.replace(/_/g, ' ') });
  options.push({ value: 'other', label: 'Other zone…' });
  return (
    <NativeSelect
      className="bar-select zone-select" size="xs" aria-label="Time zone" data={options} value={zone}
      title={`Times are shown in ${zone} (${zoneMark(zone, Date.now())})`}
      onChange={(event) => (event.currentTarget.value === 'other' ? onOther() : setZone(event.currentTarget.value))}
    />
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const app = useApp();
  const { path } = useLocation();
  const [dialog, setDialog] = useState<'help' | 'zone' | null>(null);
  const here = path === '/' ? '/graph' : path;

  useShortcuts({
    'g g': () => navigate('/graph'),
    'g e': () => navigate('/stores'),
    t: () => app.setZone(app.zone === 'UTC' ? browserZone() : 'UTC'),
    r: () => app.refreshNow(),
    '?': () => setDialog('help'),
  });
  useEffect(() => {
    if (app.tick > 0) void refreshEndpoints();
  }, [app.tick]);

  return (
    <>
      <a className="skip-link" href="#content" onClick={(event) => {
        event.preventDefault();
        document.getElementById('content')?.focus();
      }}>Skip to content</a>
      <header className="bar">
        <PageLink path="/graph" className="brand">
          <Mark />
          <span className="brand-name">Athanor</span>
          <span className="brand-component">{config.component}</span>
        </PageLink>
        <nav aria-label="Pages" className="bar-nav">
          {PAGES.map((page) => (
            <PageLink key={page.path} path={page.path} className="bar-link" current={here === page.path}>
              {page.label}
            </PageLink>
          ))}
        </nav>
        <div className="bar-tools">
          <HealthPill />
          <ZoneSelect onOther={() => setDialog('zone')} />
          <div className="bar-group">
            <ActionIcon className="bar-icon" variant="subtle" aria-label="Refresh now" title="Refresh now (r)" onClick={app.refreshNow}>
              <Icon name="refresh" />
            </ActionIcon>
            <NativeSelect
              className="bar-select" size="xs" aria-label="Refresh by itself" value={app.refresh ?? ''}
              data={[
                { value: '', label: 'Off' },
                ...REFRESH_CHOICES.map((value) => ({ value, label: value })),
                ...(app.refresh && !(REFRESH_CHOICES as readonly string[]).includes(app.refresh) ? [{ value: app.refresh, label: app.refresh }] : []),
              ]}
              onChange={(event) => app.setRefresh(event.currentTarget.value || null)}
            />
          </div>
          <div className="bar-group theme-group" role="group" aria-label="Theme">
            {THEMES.map(({ theme, label, icon }) => (
              <ActionIcon
                key={theme} className="bar-icon" variant="subtle" aria-label={label} title={label}
                aria-pressed={app.theme === theme} onClick={() => app.setTheme(theme)}
              >
                <Icon name={icon} />
              </ActionIcon>
            ))}
          </div>
          <ActionIcon className="bar-icon" variant="subtle" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => setDialog('help')}>
            <Icon name="help" />
          </ActionIcon>
        </div>
      </header>
      <main id="content" tabIndex={-1}>{children}</main>
      <Suspense fallback={null}>
        {dialog === 'help' && <HelpDialog onClose={() => setDialog(null)} />}
        {dialog === 'zone' && <ZoneDialog onClose={() => setDialog(null)} />}
      </Suspense>
    </>
  );
}
