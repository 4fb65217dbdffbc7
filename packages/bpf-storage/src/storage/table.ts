import type { Arena } from "../memory/arena.js";
import { CACHE_SLOTS, SELEM, STORE, tableStart } from "./layout.js";

/**
 * The table of an owner with more elements than its cache has slots: open addressing with linear probing over pointers to elements, at most half full.
 * Without it, more than 16 maps on one owner cost a walk of its list on every access.
 */

/** The element of a map; 0 if there is none. Only where there is a table. */
export function tableFind(arena: Arena, store: number, map: number): number {
  const table = arena.u32(store + STORE.table);
  const mask = arena.u32(store + STORE.mask);
  for (let k = tableStart(map) & mask; ; k = (k + 1) & mask) {
    const selem = arena.u32(table + 4 * k);
    if (selem === 0 || arena.u32(selem + SELEM.map) === map) return selem;
  }
}

/** An element has been put into the owner's list. Where there is no memory for a table the list goes on serving. */
export function tableInsert(arena: Arena, store: number, selem: number): void {
  const count = arena.u32(store + STORE.count);
  const size = arena.u32(store + STORE.table) === 0 ? 0 : arena.u32(store + STORE.mask) + 1;
  if (count <= CACHE_SLOTS) return;
  // The first table holds what is in the list already, this element with it.
  if (2 * count <= size) put(arena, store, selem);
  else rebuild(arena, store, Math.max(4 * CACHE_SLOTS, 2 * size));
}

/** An element is to be taken out of the owner's list. */
export function tableRemove(arena: Arena, store: number, map: number): void {
  const table = arena.u32(store + STORE.table);
  if (table === 0) return;
  const mask = arena.u32(store + STORE.mask);
  let hole = tableStart(map) & mask;
  while (arena.u32(arena.u32(table + 4 * hole) + SELEM.map) !== map) hole = (hole + 1) & mask;
  // What comes behind moves up if its search would end at the hole.
  for (let k = (hole + 1) & mask; ; k = (k + 1) & mask) {
    const selem = arena.u32(table + 4 * k);
    if (selem === 0) break;
    const start = tableStart(arena.u32(selem + SELEM.map)) & mask;
    if (((k - start) & mask) < ((k - hole) & mask)) continue;
    arena.setU32(table + 4 * hole, selem);
    hole = k;
  }
  arena.setU32(table + 4 * hole, 0);
}

export function tableFree(arena: Arena, store: number): void {
  const table = arena.u32(store + STORE.table);
  if (table === 0) return;
  arena.setU32(store + STORE.table, 0);
  arena.free(table);
}

function put(arena: Arena, store: number, selem: number): void {
  const table = arena.u32(store + STORE.table);
  const mask = arena.u32(store + STORE.mask);
  let k = tableStart(arena.u32(selem + SELEM.map)) & mask;
  while (arena.u32(table + 4 * k) !== 0) k = (k + 1) & mask;
  arena.setU32(table + 4 * k, selem);
}

function rebuild(arena: Arena, store: number, size: number): void {
  const table = arena.alloc(4 * size);
  tableFree(arena, store);
  if (table === 0) return;
  arena.setU32(store + STORE.table, table);
  arena.setU32(store + STORE.mask, size - 1);
  for (let at = arena.u32(store + STORE.list); at !== 0; at = arena.u32(at + SELEM.ownNext)) put(arena, store, at);
}
