/**
 * What an owner holds in memory, words from its offset (`struct bpf_local_storage`): its cache, the list of its elements, and, once it has more of them
 * than the cache has slots, a table by map, which Linux does not have and walks the list instead. The map that it was made for, a pointer of 64 bits, is
 * where Linux 6.2 to 6.18 have it (`smap`): programs look at it.
 */
export const STORE = { cache: 0, list: 64, cell: 68, count: 72, table: 76, mask: 80, map: 128, size: 136 } as const;
export const CACHE_SLOTS = 16;

/** An element (`struct bpf_local_storage_elem`): its places in the list of its map and of its owner, and its value. */
export const SELEM = { mapNext: 0, mapLink: 4, ownNext: 8, ownLink: 12, store: 16, map: 20, value: 24 } as const;

/** Where the search for a map begins in an owner's table: the pointer of a map, a multiple of 16, multiplied and shifted. */
export const TABLE_MULTIPLIER = 0x9e3779b1;
export const TABLE_SHIFT = 12;
export const tableStart = (map: number): number => Math.imul(map, TABLE_MULTIPLIER) >>> TABLE_SHIFT;
