// Never silently partial: which endpoints stand behind a result, and what they said.
import { isUp, useEndpoints, type Endpoint } from '../api/endpoints';
import { endpointsIn, isPartial } from '../api/errors';
import { partsIn } from '../lib/zone';
import { useApp } from '../shell/app';

export interface CoverageState {
  total: number;
  answered: number;
  missing: { endpoint: Endpoint; why: string }[];
  /** Addresses that a warning names but the endpoint list does not (strict endpoints that never answered). */
  unknown: string[];
}

export function coverageOf(endpoints: readonly Endpoint[], selected: readonly string[], warnings: readonly string[], since: (ms: number) => string): CoverageState {
  const asked = selected.length > 0 ? endpoints.filter((e) => selected.includes(e.name)) : endpoints;
  const silent = new Set(warnings.filter(isPartial).flatMap(endpointsIn));
  const missing = asked
    .filter((e) => !isUp(e) || silent.has(e.name))
    .map((endpoint) => ({
      endpoint,
      why: endpoint.leftAtMs !== null
        ? `left the set at ${since(endpoint.leftAtMs)}`
        : endpoint.lastError !== null
          ? endpoint.lastCheckMs ? `down since ${since(endpoint.lastCheckMs)}` : 'down'
          : 'did not answer this query',
    }));
  const unknown = [...silent].filter((name) => !endpoints.some((e) => e.name === name));
  return { total: asked.length + unknown.length, answered: asked.length - missing.length, missing, unknown };
}

export function useCoverage(selected: readonly string[], warnings: readonly string[]): CoverageState & { known: boolean } {
  const { zone } = useApp();
  const { endpoints, fetchedAtMs } = useEndpoints();
  const since = (ms: number) => partsIn(zone, ms).time;
  return { ...coverageOf(endpoints, selected, warnings, since), known: fetchedAtMs !== null };
}

export function isCoveragePartial(coverage: CoverageState, warnings: readonly string[]): boolean {
  return coverage.answered < coverage.total || warnings.some(isPartial);
}

interface Props {
  coverage: CoverageState & { known: boolean };
  warnings: readonly string[];
  hasRun: boolean;
}

export function Coverage({ coverage, warnings, hasRun }: Props) {
  const { failure, fetchedAtMs } = useEndpoints();
  const { zone } = useApp();
  const partial = isCoveragePartial(coverage, warnings);
  const state = failure ? 'bad' : !coverage.known ? 'idle' : coverage.total === 0 || partial ? 'warn' : 'ok';
  const verb = hasRun ? 'answered' : 'up';
  const head = !coverage.known
    ? 'Asking for the endpoints…'
    : coverage.total === 0
      ? 'No endpoints: this server has nothing to query'
      : `${coverage.answered} of ${coverage.total} endpoints ${verb}`;
  const named = coverage.missing.slice(0, 3);
  return (
    <p className={`coverage state-${state}`} role="status" data-testid="coverage">
      <span className="state-shape" aria-hidden="true" />
      <strong>{head}</strong>
      {named.map(({ endpoint, why }) => (
        <span key={`${endpoint.type}/${endpoint.name}`} className="coverage-item">{endpoint.type} {endpoint.name} {why}</span>
      ))}
      {coverage.unknown.slice(0, 3).map((name) => <span key={name} className="coverage-item">{name} never answered</span>)}
      {coverage.missing.length > named.length && <span className="coverage-item">{coverage.missing.length - named.length} more missing</span>}
      {partial && coverage.missing.length === 0 && coverage.unknown.length === 0 && <span className="coverage-item">the result may be incomplete, see the warnings</span>}
      {failure && fetchedAtMs !== null && <span className="coverage-item">as of {partsIn(zone, fetchedAtMs).time}, the server does not answer now</span>}
    </p>
  );
}

export function Warnings({ warnings }: { warnings: readonly string[] }) {
  if (warnings.length === 0) return null;
  const groups = new Map<string, string[]>();
  for (const warning of warnings) {
    const key = endpointsIn(warning)[0] ?? '';
    groups.set(key, [...(groups.get(key) ?? []), warning]);
  }
  return (
    <details className="warnings state-warn" open={warnings.length <= 3}>
      <summary>{warnings.length} {warnings.length === 1 ? 'warning' : 'warnings'}</summary>
      <ul>
        {[...groups.values()].flat().slice(0, 90).map((warning, n) => <li key={n}>{warning}</li>)}
      </ul>
    </details>
  );
}
