import table from "../../tables/leaves.json";

const byNumber = (rows: readonly (readonly (string | number)[])[]): ReadonlyMap<number, string> =>
  new Map(rows.map(([name, number]) => [Number(number), String(name)]));

/** Names of SEAMCALL leaves (`TDH_...`) by number. Source: Intel TDX module 1.5 ABI specification. */
export const SEAMCALL_LEAVES: ReadonlyMap<number, string> = byNumber(table.seamcall);
/** Names of TDCALL leaves (`TDG_...`) by number. Same source. */
export const TDCALL_LEAVES: ReadonlyMap<number, string> = byNumber(table.tdcall);
