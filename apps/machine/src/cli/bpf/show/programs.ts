import type { ProgramRow } from "../inventory/rows.js";
import { type Members, members } from "./json.js";
import { inLine, programTypeName } from "./names.js";

/** A program as `bpftool prog show` has it. */
export function programText(row: ProgramRow): string {
  const { id, type, name, tag, gpl, runs, misses, loadedAt, xlated, jited, memlock, maps, btf } = row;
  const counts = `${runs > 0 ? ` run_cnt ${runs}` : ""}${misses > 0 ? ` recursion_misses ${misses}` : ""}`;
  return [
    `${id}: ${inLine(programTypeName(type))}  ${name === "" ? "" : `name ${name}  `}tag ${tag}${gpl ? "  gpl" : ""}${counts}`,
    `\tloaded_at ${localTime(loadedAt)}  uid 0`,
    `\txlated ${xlated}B  ${jited ? "jited" : "not jited"}  memlock ${memlock}B${maps.length > 0 ? `  map_ids ${maps.join(",")}` : ""}`,
    ...(btf === null ? [] : [`\tbtf_id ${btf}`]),
    "",
  ].join("\n");
}

/** The same as `bpftool -j prog show` has it. */
export function programJson(row: ProgramRow): Members {
  const { id, type, name, tag, gpl, runs, misses, loadedAt, xlated, jited, memlock, maps, btf } = row;
  return members(
    ["id", id],
    ["type", programTypeName(type)],
    ["name", name === "" ? undefined : name],
    ["tag", tag],
    ["gpl_compatible", gpl],
    ["run_cnt", runs > 0 ? runs : undefined],
    ["recursion_misses", misses > 0 ? misses : undefined],
    ["loaded_at", loadedAt],
    ["uid", 0],
    ["bytes_xlated", xlated],
    ["jited", jited],
    ["bytes_memlock", memlock],
    ["map_ids", maps.length > 0 ? maps : undefined],
    ["btf_id", btf ?? undefined],
  );
}

/** `2026-01-31T12:00:00+0100`, as strftime(3) has `%FT%T%z`. @param seconds since 1970 */
function localTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const offset = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offset * 60_000).toISOString().slice(0, 19);
  const two = (value: number): string => String(value).padStart(2, "0");
  const away = Math.abs(offset);
  return `${local}${offset < 0 ? "-" : "+"}${two(Math.floor(away / 60))}${two(away % 60)}`;
}
