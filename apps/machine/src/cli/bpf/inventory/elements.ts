import { type BpfMap, dumpMap, ERRNO, isPerCpu, MapType, systemLookup, systemValueSize } from "@vm/bpf-storage";

/** An element, its key and its values as bytes. */
export interface Element {
  readonly key: Uint8Array;
  readonly values: readonly Uint8Array[];
}

/** Empty places that are passed over at once. */
const EMPTY_MOST = 64;
/** Bytes of a hash table's own words, which a key that is written in place may need. */
const ROOM = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/**
 * The elements of a map, as bpf(2) gives them one by one: null for many places that are empty, so that whoever asks can let others have their turn. The map may
 * change meanwhile: then one may be left out or come twice, but there are never more than it can have.
 */
export function* elementsOf(map: BpfMap): Generator<Element | null> {
  const { type, maxEntries } = map.desc;
  if (type === MapType.Queue || type === MapType.Stack) {
    yield* dumpMap(map);
    return;
  }
  const place = new Place(map);
  try {
    let empty = 0;
    for (
      let count = 0, first = true;
      count < maxEntries && map.nextKey(first ? 0 : place.key, place.key) === 0;
      count++
    ) {
      first = false;
      const status = place.look();
      if (status === 0) yield place.element();
      else if (status !== -ERRNO.ENOENT) return;
      else if (++empty % EMPTY_MOST === 0) yield null;
    }
  } finally {
    place.free();
  }
}

/** The element of a key; null if there is none, or the kind of map tells none. */
export function elementAt(map: BpfMap, key: Uint8Array): Element | null {
  const place = new Place(map);
  try {
    map.host.arena.u8.set(key, place.key);
    return place.look() === 0 ? place.element() : null;
  } finally {
    place.free();
  }
}

/** Room for a key and what bpf(2) copies out for it. */
class Place {
  readonly key: number;
  readonly #value: number;
  readonly #size: number;

  /** @throws {RangeError} if there is no memory */
  constructor(readonly map: BpfMap) {
    const keyBytes = aligned(map.desc.keySize) + ROOM;
    this.#size = systemValueSize(map);
    this.key = map.host.arena.alloc(keyBytes + aligned(this.#size));
    if (this.key === 0) throw new RangeError(`no memory for a value of ${this.#size} bytes`);
    this.#value = this.key + keyBytes;
  }

  look(): number {
    return systemLookup(this.map.host.arena, this.map, this.key, this.#value);
  }

  element(): Element {
    const { host, desc } = this.map;
    const { arena } = host;
    const stride = aligned(desc.valueSize);
    const values = isPerCpu(desc.type)
      ? Array.from({ length: host.cpus }, (_, cpu) => arena.read(this.#value + cpu * stride, desc.valueSize))
      : [arena.read(this.#value, this.#size)];
    return { key: arena.read(this.key, desc.keySize), values };
  }

  free(): void {
    this.map.host.arena.free(this.key);
  }
}
