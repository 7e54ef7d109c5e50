// What every page shares: the time zone, the theme, the refresh clock.
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { parseDuration } from '../lib/duration';
import { browserZone, isZone } from '../lib/zone';
import { PREF, usePref } from './prefs';
import { useSearchValue } from './router';

export type Theme = 'light' | 'dark' | 'auto';
export const REFRESH_CHOICES = ['5s', '15s', '1m', '5m'] as const;

export interface AppState {
  zone: string;
  setZone: (zone: string) => void;
  theme: Theme;
  dark: boolean;
  setTheme: (theme: Theme) => void;
  refresh: string | null;
  setRefresh: (refresh: string | null) => void;
  /** Counts up at every tick of the refresh clock and at every press of "refresh". */
  tick: number;
  refreshNow: () => void;
}

const Context = createContext<AppState | null>(null);

export function useApp(): AppState {
  const app = useContext(Context);
  if (!app) throw new Error('useApp outside AppProvider');
  return app;
}

const darkQuery = window.matchMedia('(prefers-color-scheme: dark)');

export function AppProvider({ children }: { children: ReactNode }) {
  const [theme, setTheme] = usePref<Theme>(PREF.theme, 'auto');
  const [systemDark, setSystemDark] = useState(darkQuery.matches);
  const [localTime] = usePref(PREF.localTime, false);
  const [storedZone, storeZone] = usePref(PREF.zone, '');
  const [urlZone, setUrlZone] = useSearchValue('tz');
  const [urlRefresh, setUrlRefresh] = useSearchValue('refresh');
  const [tick, setTick] = useState(0);

  useEffect(() => {
    const listener = () => setSystemDark(darkQuery.matches);
    darkQuery.addEventListener('change', listener);
    return () => darkQuery.removeEventListener('change', listener);
  }, []);
  const dark = theme === 'dark' || (theme !== 'light' && systemDark);
  useEffect(() => document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light'), [dark]);

  const wanted = urlZone ?? (storedZone || (localTime ? browserZone() : 'UTC'));
  const zone = wanted === 'browser' ? browserZone() : isZone(wanted) ? wanted : 'UTC';
  const refresh = urlRefresh && parseDuration(urlRefresh) !== null ? urlRefresh : null;

  useEffect(() => {
    if (!refresh) return;
    const every = Math.max(parseDuration(refresh) as number, 1_000);
    const timer = setInterval(() => {
      if (!document.hidden) setTick((n) => n + 1);
    }, every);
    return () => clearInterval(timer);
  }, [refresh]);

  const value = useMemo<AppState>(
    () => ({
      zone, theme, dark, refresh, tick, setTheme,
      setZone: (next) => {
        storeZone(next);
        setUrlZone(next === 'UTC' ? null : next, 'replace');
      },
      setRefresh: (next) => setUrlRefresh(next, 'replace'),
      refreshNow: () => setTick((n) => n + 1),
    }),
    // The setters only wrap the address bar and localStorage: they need no new identity.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [zone, theme, dark, refresh, tick],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}
