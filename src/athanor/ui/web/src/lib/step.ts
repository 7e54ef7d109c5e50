// The resolution of a range query.

/** Points per series that the server allows in one answer. */
export const MAX_POINTS = 11_000;

const NICE_STEPS_S = [
  1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
];

/** The automatic step in seconds: about 250 points, rounded up to a round number so that caches agree. */
export function autoStepS(rangeMs: number, defaultStepS: number): number {
  const wanted = Math.max(Math.floor(rangeMs / 250_000), defaultStepS, 1);
  return NICE_STEPS_S.find((s) => s >= wanted) ?? wanted;
}

export interface Step {
  seconds: number;
  /** Set when the typed step would have asked for more than MAX_POINTS points. */
  raisedFromS: number | null;
}

export function effectiveStep(rangeMs: number, typedS: number | null, defaultStepS: number): Step {
  if (typedS === null) return { seconds: autoStepS(rangeMs, defaultStepS), raisedFromS: null };
  const leastS = Math.ceil(rangeMs / 1000 / MAX_POINTS);
  return typedS >= leastS ? { seconds: typedS, raisedFromS: null } : { seconds: leastS, raisedFromS: typedS };
}
