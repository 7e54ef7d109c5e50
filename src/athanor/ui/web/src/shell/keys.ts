// Keyboard shortcuts outside of fields.
import { useEffect, useRef } from 'react';
import { getPref, PREF } from './prefs';

export const SHORTCUTS: readonly (readonly [keys: string, what: string])[] = [
  ['Enter', 'run the query (in the editor)'],
  ['Shift Enter', 'new line (in the editor)'],
  ['Ctrl Enter', 'run all panels'],
  ['Ctrl Space', 'complete'],
  ['Ctrl ↑ ↓', 'older and newer queries'],
  ['Esc', 'close, then leave the editor'],
  ['/', 'focus editor or filter'],
  ['g g', 'graph'],
  ['g e', 'endpoints'],
  ['t', 'UTC or browser time'],
  ['r', 'refresh'],
  ['[ ]', 'move by half the range'],
  ['- =', 'wider and narrower range'],
  ['1 2 3', 'Graph, Table, JSON'],
  ['n', 'new panel'],
  ['?', 'this list'],
  ['← →', 'chart: move the cursor; with Shift: select'],
  ['Enter, Esc', 'chart: zoom into the selection, clear it'],
];

function inField(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return element !== null && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName ?? ''));
}

/** Calls the handler for single keys (`r`) and for chords (`g e`). Off in fields, with modifiers, and when switched off. */
export function useShortcuts(handlers: Readonly<Record<string, () => void>>): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    let prefix = '';
    let timer: ReturnType<typeof setTimeout> | undefined;
    const listener = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || inField(event.target)) return;
      if (document.querySelector('[role="dialog"]')) return;
      if (!getPref(PREF.singleKeys, true)) return;
      const key = prefix ? `${prefix} ${event.key}` : event.key;
      prefix = '';
      clearTimeout(timer);
      const handler = latest.current[key];
      if (handler) {
        event.preventDefault();
        handler();
      } else if (event.key === 'g') {
        prefix = 'g';
        timer = setTimeout(() => (prefix = ''), 1_000);
      }
    };
    window.addEventListener('keydown', listener);
    return () => {
      window.removeEventListener('keydown', listener);
      clearTimeout(timer);
    };
  }, []);
}
