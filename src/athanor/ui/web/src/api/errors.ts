// What went wrong, in words that name the likely layer.

export interface Failure {
  /** Short heading, e.g. `bad_data` or `HTTP 502`. */
  title: string;
  text: string;
  hint: string;
  status: number;
}

export class ApiFailure extends Error {
  constructor(readonly failure: Failure) {
    super(`${failure.title}: ${failure.text}`);
  }
}

function hintOf(status: number, errorType: string): string {
  if (errorType === 'timeout') return 'The evaluation took longer than --query.timeout. Ask for a shorter range or a larger step.';
  if (status === 401 || status === 403) return 'The login is missing or not enough. This answer usually comes from a proxy in front of the server.';
  if (status === 404) return 'Nothing answers at this address. Is a path prefix missing between proxy and server?';
  if (status === 502) return 'A proxy in front of the server did not reach it.';
  if (status === 504) return 'A proxy in front of the server gave up waiting. Its timeout is shorter than the query.';
  if (status === 503) return 'The server is overloaded, starting, or gave up on the query.';
  return '';
}

/** The failure that an answer stands for; null when it is a success. */
export function failureOf(status: number, contentType: string, text: string): Failure | null {
  let parsed: unknown = null;
  try {
    parsed = JSON.parse(text);
  } catch {
    const kind = contentType.split(';')[0] || 'no content type';
    return {
      status,
      title: status >= 200 && status < 300 ? 'Answer is not JSON' : `HTTP ${status}`,
      text: status >= 200 && status < 300
        ? `The server answered ${status} with ${kind}: ${text.slice(0, 120).replace(/\s+/g, ' ')}`
        : `The answer is ${kind}, not the JSON of the query API.`,
      hint: hintOf(status, '') || 'Something between the browser and the server answered in its place, or cut the answer.',
    };
  }
  const body = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as { status?: string; error?: string; errorType?: string };
  if (status >= 200 && status < 300 && body.status === 'success') return null;
  const errorType = body.errorType ?? `HTTP ${status}`;
  return { status, title: errorType, text: body.error ?? `The server answered ${status}.`, hint: hintOf(status, errorType) };
}

export function unreachable(error: unknown): Failure {
  return {
    status: 0,
    title: 'Server unreachable',
    text: error instanceof Error ? error.message : String(error),
    hint: 'The connection failed before an answer came: the server is down, or the network or a proxy cut it.',
  };
}

/** Line and column that an error text begins with (`1:23: parse error: ...`). */
export function positionOf(text: string): { line: number; column: number } | null {
  const match = /(?:^|\s)(\d+):(\d+): parse error/.exec(text);
  return match ? { line: Number(match[1]), column: Number(match[2]) } : null;
}

export function isPartial(warning: string): boolean {
  return !/^PromQL (info|warning)/.test(warning) && !/not analyzable|truncated due to limit/.test(warning);
}

/** The endpoints that a warning says did not answer. */
export function endpointsIn(warning: string): string[] {
  return [...warning.matchAll(/Addr: (\S+)/g)].map((match) => match[1]);
}
