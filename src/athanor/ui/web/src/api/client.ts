// GET requests of the small JSON endpoints.
import { apiUrl } from '../shell/config';
import type { Pair } from '../lib/panelUrl';
import { ApiFailure, failureOf, unreachable } from './errors';

export interface Answer<T> {
  data: T;
  warnings: string[];
}

export async function getJson<T>(path: string, params: readonly Pair[] = [], signal?: AbortSignal): Promise<Answer<T>> {
  const query = params.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&');
  let response: Response;
  let text: string;
  try {
    response = await fetch(apiUrl(path) + (query ? `?${query}` : ''), { cache: 'no-store', credentials: 'same-origin', signal });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiFailure(unreachable(error));
  }
  const failure = failureOf(response.status, response.headers.get('content-type') ?? '', text);
  if (failure) throw new ApiFailure(failure);
  const body = JSON.parse(text) as { data: T; warnings?: string[] };
  return { data: body.data, warnings: body.warnings ?? [] };
}
