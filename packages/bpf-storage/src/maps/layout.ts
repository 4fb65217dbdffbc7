/**
 * How a map begins in memory, so that generated code finds its way: words from the offset that is the map's pointer. What follows is each kind's own.
 */
export const MAP = { kind: 0, keySize: 4, valueSize: 8, maxEntries: 12, flags: 16, id: 20, own: 24 } as const;

/** Of an array: where its elements lie, and bytes from one to the next. A per-CPU array has an array of them for each CPU, one behind another. */
export const ARRAY = { elements: MAP.own, stride: MAP.own + 4, perCpu: MAP.own + 8, size: MAP.own + 12 } as const;

/** Of a hash table: its chains, their number less one, and bytes from an element to its value. */
export const HASH = {
  buckets: MAP.own,
  mask: MAP.own + 4,
  value: MAP.own + 8,
  perCpu: MAP.own + 12,
  size: MAP.own + 16,
} as const;

/** An element of a hash table. Its key follows. */
export const ELEMENT = { next: 0, hash: 4, key: 8 } as const;

/** Of a storage map: the slot of its owners' caches that it has, and bytes from an owner to the pointer to its storage. */
export const STORAGE = {
  slot: MAP.own,
  cell: MAP.own + 4,
  buckets: MAP.own + 8,
  mask: MAP.own + 12,
  size: MAP.own + 16,
} as const;

/** Values begin at multiples of 8 and take multiples of 8. */
export const align8 = (size: number): number => ((size + 7) & ~7) >>> 0;
