// An error of a run: what it was, where, what to do.
import { Button } from '@mantine/core';
import { positionOf, type Failure } from '../api/errors';
import { copyText } from '../shell/copy';

export function Failed({ failure, expr, onRetry }: { failure: Failure; expr: string; onRetry: () => void }) {
  const position = positionOf(failure.text);
  const line = position ? expr.split('\n')[position.line - 1] : undefined;
  return (
    <section className="failed state-bad" role="alert">
      <div>
        <p><span className="state-shape" aria-hidden="true" /> <strong>{failure.title}</strong> {failure.text}</p>
        {position && line !== undefined && (
          <pre className="caret" aria-hidden="true">{line}{'\n'}{' '.repeat(Math.max(0, Math.min(position.column - 1, line.length)))}^</pre>
        )}
        {failure.hint && <p className="failed-hint">{failure.hint}</p>}
      </div>
      <div className="failed-actions">
        <Button size="compact-xs" variant="default" onClick={onRetry}>Retry</Button>
        <Button size="compact-xs" variant="default" onClick={() => void copyText(`${failure.title}: ${failure.text}`)}>Copy</Button>
      </div>
    </section>
  );
}
