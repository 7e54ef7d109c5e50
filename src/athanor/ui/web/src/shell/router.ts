// The address of the page as state: path and query string, with push and replace.
import { useSyncExternalStore } from 'react';
import { pageValue, parsePairs, withPageValue, type Pair } from '../lib/panelUrl';
import { basePath } from './config';

const listeners = new Set<() => void>();

function notify(): void {
  listeners.forEach((listener) => listener());
}

window.addEventListener('popstate', notify);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useLocation(): { path: string; search: string } {
  const href = useSyncExternalStore(subscribe, () => window.location.pathname + window.location.search);
  const at = href.indexOf('?');
  const full = at < 0 ? href : href.slice(0, at);
  const path = full.startsWith(basePath) ? full.slice(basePath.length) : full;
  return { path: path === '' ? '/' : path, search: at < 0 ? '' : href.slice(at) };
}

export function setSearch(search: string, how: 'push' | 'replace'): void {
  if (search === window.location.search) return;
  const url = window.location.pathname + search;
  if (how === 'push') window.history.pushState(null, '', url);
  else window.history.replaceState(null, '', url);
  notify();
}

/** Keys that belong to the whole application and follow from page to page. */
const SHARED_KEYS = ['tz', 'refresh'];

export function hrefOf(path: string): string {
  const shared = parsePairs(window.location.search).filter(([key]) => SHARED_KEYS.includes(key));
  return basePath + path + joinPairs(shared);
}

const lastSearch = new Map<string, string>();

/** To another page of the application; a page keeps its own state for the way back. */
export function navigate(path: string): void {
  const here = window.location.pathname.slice(basePath.length) || '/';
  lastSearch.set(here === '/' ? '/graph' : here, window.location.search);
  let search = lastSearch.get(path) ?? '';
  for (const key of SHARED_KEYS) {
    const value = pageValue(parsePairs(window.location.search), key);
    search = joinPairs(withPageValue(parsePairs(search), key, value));
  }
  window.history.pushState(null, '', basePath + path + search);
  notify();
  window.scrollTo(0, 0);
}

export function joinPairs(pairs: readonly Pair[]): string {
  const text = pairs.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&');
  return text ? `?${text}` : '';
}

export function useSearchValue(key: string): [string | null, (value: string | null, how?: 'push' | 'replace') => void] {
  const { search } = useLocation();
  return [
    pageValue(parsePairs(search), key),
    (value, how = 'push') => setSearch(joinPairs(withPageValue(parsePairs(window.location.search), key, value)), how),
  ];
}
