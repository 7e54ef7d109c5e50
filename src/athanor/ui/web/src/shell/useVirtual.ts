// The rows of a long list that are in view; the rest is empty space.
import { useCallback, useLayoutEffect, useRef, useState } from 'react';

const OVERSCAN = 6;
const MOST_ROWS = 90;

export interface VirtualRows {
  start: number;
  end: number;
  before: number;
  after: number;
}

export function useVirtual(nRows: number, rowPx: number): [VirtualRows, (element: HTMLElement | null) => void] {
  const [view, setView] = useState({ top: 0, height: 400 });
  const element = useRef<HTMLElement | null>(null);
  const read = useCallback(() => {
    const e = element.current;
    if (!e) return;
    setView((old) => {
      const next = { top: Math.floor(e.scrollTop / rowPx), height: e.clientHeight || 400 };
      return old.top === next.top && old.height === next.height ? old : next;
    });
  }, [rowPx]);
  const attach = useCallback(
    (next: HTMLElement | null) => {
      element.current?.removeEventListener('scroll', read);
      element.current = next;
      next?.addEventListener('scroll', read, { passive: true });
      read();
    },
    [read],
  );
  useLayoutEffect(read, [nRows, read]);
  useLayoutEffect(() => {
    window.addEventListener('resize', read);
    return () => window.removeEventListener('resize', read);
  }, [read]);
  const start = Math.max(0, Math.min(view.top - OVERSCAN, nRows));
  const end = Math.min(nRows, start + Math.min(Math.ceil(view.height / rowPx) + 2 * OVERSCAN, MOST_ROWS));
  return [{ start, end, before: start * rowPx, after: (nRows - end) * rowPx }, attach];
}
