import type { ExternalErrno, ExternalPageTable } from "../../src/tdp/external.js";

/** Page tables that somebody else keeps and that complain about a protocol violation, as a TDX module would. */
export class SecureEpt implements ExternalPageTable {
  readonly leaves = new Map<number, number>();
  readonly #tables = new Set<string>();

  constructor(readonly complain: (problem: string) => void) {}

  linkSpt(gfn: number, level: number): ExternalErrno | null {
    const table = `${level}:${gfn}`;
    if (this.#tables.has(table)) this.complain(`table ${table} is linked twice`);
    this.#tables.add(table);
    return null;
  }

  setSpte(gfn: number, _level: number, pfn: number): ExternalErrno | null {
    if (this.leaves.has(gfn)) this.complain(`guest frame ${gfn} is mapped twice`);
    if ([...this.leaves.values()].includes(pfn)) this.complain(`frame ${pfn} is mapped twice`);
    this.leaves.set(gfn, pfn);
    return null;
  }

  removeSpte(gfn: number, _level: number, pfn: number): void {
    if (this.leaves.get(gfn) !== pfn) this.complain(`guest frame ${gfn} is not frame ${pfn}`);
    this.leaves.delete(gfn);
  }

  freeSpt(): void {}
}
