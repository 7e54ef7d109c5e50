// From the samples of a series to the few points that its picture needs.

/**
 * The polyline of one series: per pixel column the first, least, greatest and last value in time order, and every gap.
 * Columns with up to four samples keep all of them. Never an average: a spike of one sample survives.
 *
 * `out` receives [x pixel, value] pairs; a pair with a NaN value is a break. Returns the number of pairs.
 */
export function reduceLine(
  values: Float64Array, row: number, first: number, last: number, xOf: (index: number) => number, out: Float64Array,
): number {
  let n = 0;
  let open = false; // a break is written at most once in a row
  let index = first;
  while (index <= last) {
    const column = Math.floor(xOf(index));
    let end = index;
    while (end < last && Math.floor(xOf(end + 1)) === column) end++;
    // Runs without a gap inside the column; each keeps its own four points.
    let i = index;
    while (i <= end) {
      if (Number.isNaN(values[row + i])) {
        if (open) {
          out[2 * n] = xOf(i);
          out[2 * n++ + 1] = NaN;
          open = false;
        }
        i++;
        continue;
      }
      let runEnd = i;
      let least = i;
      let greatest = i;
      while (runEnd < end && !Number.isNaN(values[row + runEnd + 1])) {
        runEnd++;
        if (values[row + runEnd] < values[row + least]) least = runEnd;
        if (values[row + runEnd] > values[row + greatest]) greatest = runEnd;
      }
      const a = Math.min(least, greatest);
      const b = Math.max(least, greatest);
      let previous = -1;
      for (const k of [i, a, b, runEnd]) {
        if (k === previous) continue;
        out[2 * n] = xOf(k);
        out[2 * n++ + 1] = values[row + k];
        previous = k;
      }
      open = true;
      i = runEnd + 1;
    }
    index = end + 1;
  }
  return n;
}

/** Enough room in `out` for any answer of reduceLine. */
export function reducedCapacity(nSamples: number): number {
  return 2 * (nSamples * 2 + 2);
}
