// Preferences in localStorage, under the keys and in the JSON form of Thanos where it has them.
import { useSyncExternalStore } from 'react';

const listeners = new Set<() => void>();
const cache = new Map<string, { text: string | null; value: unknown }>();

function stored<T>(key: string, fallback: T): T {
  let text: string | null = null;
  try {
    text = localStorage.getItem(key);
  } catch {
    return (cache.get(key)?.value as T | undefined) ?? fallback;
  }
  const known = cache.get(key);
  if (known && known.text === text) return known.value as T;
  let value: T = fallback;
  if (text !== null) {
    try {
      const parsed = JSON.parse(text) as T;
      if (typeof parsed === typeof fallback && Array.isArray(parsed) === Array.isArray(fallback)) value = parsed;
    } catch {
      value = fallback;
    }
  }
  cache.set(key, { text, value });
  return value;
}

export function getPref<T>(key: string, fallback: T): T {
  return stored(key, fallback);
}

export function setPref<T>(key: string, value: T): void {
  const text = JSON.stringify(value);
  cache.set(key, { text, value });
  try {
    localStorage.setItem(key, text);
  } catch {
    // A full or forbidden storage: the value lives until the page closes.
  }
  listeners.forEach((listener) => listener());
}

export function usePref<T>(key: string, fallback: T): [T, (value: T) => void] {
  const value = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      window.addEventListener('storage', listener);
      return () => {
        listeners.delete(listener);
        window.removeEventListener('storage', listener);
      };
    },
    () => stored(key, fallback),
  );
  return [value, (next: T) => setPref(key, next)];
}

export const PREF = {
  theme: 'user-prefers-color-scheme',
  localTime: 'use-local-time',
  zone: 'time-zone',
  queryHistory: 'enable-query-history',
  storeFiltering: 'enable-store-filtering',
  autocomplete: 'enable-autocomplete',
  highlighting: 'enable-syntax-highlighting',
  linter: 'enable-linter',
  history: 'history',
  singleKeys: 'enable-single-key-shortcuts',
} as const;

const HISTORY_LENGTH = 50;

/** Newest first, no duplicates; bare metric names are not worth a place. */
export function remember(expr: string): void {
  const text = expr.trim();
  if (text === '' || /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(text)) return;
  const before = getPref<string[]>(PREF.history, []).filter((item) => typeof item === 'string' && item !== text);
  setPref(PREF.history, [text, ...before].slice(0, HISTORY_LENGTH));
}
