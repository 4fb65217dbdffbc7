export { Access, Licence, type PagingControls, Status, type Translation } from "./access.js";
export { ArenaError } from "./arena.js";
export { type MemslotDesc, MemslotError } from "./memslots.js";
export { Mmu, type MmuOptions } from "./mmu.js";
export type { SecondLevel } from "./second-level.js";
export type { MemoryImage, PageImage } from "./snapshot.js";
