// The main thread's side of the query worker.
import type { Outcome, RunMessage } from './query.worker';

/** A mark for the browser's performance tools and for the tests of the speed; only the newest of a name is kept. */
export function timingMark(name: string, detail?: number): void {
  performance.clearMarks(name);
  performance.mark(name, { detail });
}

let worker: Worker | null = null;
let lastId = 0;
const waiting = new Map<number, (outcome: Outcome) => void>();

function theWorker(): Worker {
  if (!worker) {
    worker = new Worker(new URL('./query.worker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = (event: MessageEvent<Outcome>) => {
      const done = waiting.get(event.data.id);
      if ('readMs' in event.data) timingMark('athanor:answer', event.data.readMs);
      waiting.delete(event.data.id);
      done?.(event.data);
    };
    worker.onerror = (event) => {
      // The worker ran out of memory or could not be loaded: everything that waits learns it.
      const failure = { status: 0, title: 'Query worker failed', text: event.message || 'the worker stopped', hint: 'The answer may be too large for this browser. Ask for fewer series or a larger step.' };
      for (const [id, done] of waiting) done({ id, failure, tookMs: 0 });
      waiting.clear();
      worker?.terminate();
      worker = null;
    };
  }
  return worker;
}

/** Starts a run; `done` is called once, unless the returned function (cancel) was called before. */
export function startRun(message: Omit<RunMessage, 'id'>, done: (outcome: Outcome) => void): () => void {
  const id = ++lastId;
  waiting.set(id, done);
  theWorker().postMessage({ ...message, id });
  return () => {
    if (waiting.delete(id)) worker?.postMessage({ abort: id });
  };
}
