/**
 * What an owner holds in memory, words from its offset (`struct bpf_local_storage`): its cache, the list of its elements, and, once it has more of them
 * than the cache has slots, a table by map, which Linux does not have and walks the list instead.
 */
export const STORE = {
  cache: 0,
  list: 64,
  cell: 68,
  map: 72,
  count: 76,
  table: 80,
  mask: 84,
  charged: 88,
  size: 92,
} as const;
export const CACHE_SLOTS = 16;

/** An element (`struct bpf_local_storage_elem`): its places in the list of its map and of its owner, and its value. */
export const SELEM = { mapNext: 0, mapLink: 4, ownNext: 8, ownLink: 12, store: 16, map: 20, value: 24 } as const;

/** Where the search for a map begins in an owner's table: the pointer of a map, a multiple of 16, multiplied and shifted. */
export const TABLE_MULTIPLIER = 0x9e3779b1;
export const TABLE_SHIFT = 12;
export const tableStart = (map: number): number => Math.imul(map, TABLE_MULTIPLIER) >>> TABLE_SHIFT;
