// Label sets: names, identity, colours.

export type Labels = Readonly<Record<string, string>>;

function quote(value: string): string {
  return `"${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

const PLAIN_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** `name{a="1", b="2"}`, without the labels in `skip`. */
export function seriesName(labels: Labels, skip?: ReadonlySet<string>): string {
  const name = skip?.has('__name__') ? '' : (labels.__name__ ?? '');
  const pairs = Object.keys(labels)
    .filter((key) => key !== '__name__' && !skip?.has(key))
    .sort()
    .map((key) => `${PLAIN_NAME.test(key) ? key : quote(key)}=${quote(labels[key])}`);
  return pairs.length > 0 || name === '' ? `${name}{${pairs.join(', ')}}` : name;
}

/** Eight hex digits that stand for a label set (FNV-1a over its sorted pairs). */
export function labelHash(labels: Labels): string {
  let hash = 0x811c9dc5;
  for (const key of Object.keys(labels).sort()) {
    const text = `${key}\u0001${labels[key]}\u0002`;
    for (let i = 0; i < text.length; i++) {
      hash ^= text.charCodeAt(i);
      hash = Math.imul(hash, 0x01000193);
    }
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** The labels that all series share with the same value, and the names that differ. */
export function splitCommon(sets: readonly Labels[]): { common: Labels; varying: string[] } {
  if (sets.length === 0) return { common: {}, varying: [] };
  const names = new Set<string>();
  for (const set of sets) for (const name of Object.keys(set)) names.add(name);
  const common: Record<string, string> = {};
  const varying: string[] = [];
  for (const name of [...names].sort()) {
    const value = sets[0][name];
    if (value !== undefined && sets.every((set) => set[name] === value)) common[name] = value;
    else varying.push(name);
  }
  return { common, varying };
}

export const N_HUES = 8;
export const DASHES: readonly (readonly number[])[] = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
export const N_SLOTS = N_HUES * DASHES.length;

/** One slot of colour and dash per label set: by its hash, the next free one on collision. Stable over refreshes. */
export function assignSlots(hashes: readonly string[], before: ReadonlyMap<string, number>): Map<string, number> {
  const slots = new Map<string, number>();
  const taken = new Set<number>();
  for (const hash of hashes) {
    const known = before.get(hash);
    if (known !== undefined && !taken.has(known)) {
      slots.set(hash, known);
      taken.add(known);
    }
  }
  for (const hash of hashes) {
    if (slots.has(hash)) continue;
    // Hues before dashes: eight series or fewer are all solid lines.
    const first = parseInt(hash, 16) % N_HUES;
    let slot = first;
    for (let n = 0; n < N_SLOTS; n++) {
      const candidate = ((first + n) % N_HUES) + Math.floor(n / N_HUES) * N_HUES;
      if (!taken.has(candidate)) {
        slot = candidate;
        break;
      }
      if (n === N_SLOTS - 1) slot = parseInt(hash, 16) % N_SLOTS;
    }
    slots.set(hash, slot);
    taken.add(slot);
  }
  return slots;
}
