import type { BtfRow } from "../inventory/rows.js";
import { type Members, members } from "./json.js";

/** Type information as `bpftool btf show` has it. */
export function btfText({ id, name, size, programs, maps }: BtfRow): string {
  const ids = (word: string, list: readonly number[]): string => (list.length > 0 ? `  ${word} ${list.join(",")}` : "");
  const shown = name === null ? "<anon>" : `[${name}]`;
  return `${id}: name ${shown}  size ${size}B${ids("prog_ids", programs)}${ids("map_ids", maps)}\n`;
}

/** The same as `bpftool -j btf show` has it. */
export const btfJson = ({ id, name, size, programs, maps, kernel }: BtfRow): Members =>
  members(
    ["id", id],
    ["size", size],
    ["prog_ids", programs],
    ["map_ids", maps],
    ["kernel", kernel],
    ["name", name ?? undefined],
  );
