/** Two values at the same place that are not the same. What is not there on a side is undefined. */
export interface ValueDifference {
  /** As JavaScript would say it: `vcpus[0].rip`. */
  readonly path: string;
  readonly a: unknown;
  readonly b: unknown;
}

/** All that differs, as far as it is told. */
export interface ValueDifferences {
  /** How many there are. */
  readonly count: number;
  /** The first of them. */
  readonly first: readonly ValueDifference[];
}

/**
 * Where two values differ that were read from snapshots: null, booleans, numbers, bigints, text, `Uint8Array`s, arrays and plain objects, at most as deep as these are.
 * @param most differences that are told
 */
export function differencesOf(a: unknown, b: unknown, most: number): ValueDifferences {
  const walk = new Walk(most);
  walk.enter(a, b, "");
  return { count: walk.count, first: walk.first };
}

class Walk {
  count = 0;
  readonly first: ValueDifference[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  enter(a: unknown, b: unknown, path: string): void {
    if (Object.is(a, b)) return;
    if (a instanceof Uint8Array && b instanceof Uint8Array) this.#bytes(a, b, path);
    else if (Array.isArray(a) && Array.isArray(b))
      for (let k = 0; k < Math.max(a.length, b.length); k++) this.enter(a[k], b[k], `${path}[${k}]`);
    else if (isRecord(a) && isRecord(b))
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)]))
        this.enter(ownOf(a, key), ownOf(b, key), path === "" ? key : `${path}${memberOf(key)}`);
    else this.#tell(path, a, b);
  }

  /** Those from the first that differs on, at most a few: what else follows is rather more of the same. */
  #bytes(a: Uint8Array, b: Uint8Array, path: string): void {
    const from = a.findIndex((byte, k) => byte !== b[k]);
    if (from < 0 && a.length === b.length) return;
    if (a.length !== b.length) this.#tell(`${path}.length`, a.length, b.length);
    if (from >= 0 && from < b.length) this.#tell(`${path}[${from}]`, a[from], b[from]);
  }

  #tell(path: string, a: unknown, b: unknown): void {
    this.count++;
    if (this.first.length < this.#most) this.first.push({ path, a, b });
  }
}

const ownOf = (record: Readonly<Record<string, unknown>>, key: string): unknown =>
  Object.hasOwn(record, key) ? record[key] : undefined;

const memberOf = (key: string): string => (/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`);

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
