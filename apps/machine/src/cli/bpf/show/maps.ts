import type { MapRow } from "../inventory/rows.js";
import { type Members, members } from "./json.js";
import { inLine, mapTypeName, programTypeName } from "./names.js";

/** A map as `bpftool map show` has it. */
export function mapText(row: MapRow): string {
  const { id, type, name, flags, keySize, valueSize, maxEntries, memlock, frozen, owner, btf } = row;
  const last = [btf === null ? "" : `btf_id ${btf}`, frozen ? "frozen" : ""].filter((word) => word !== "");
  return [
    `${id}: ${inLine(mapTypeName(type))}  ${name === "" ? "" : `name ${name}  `}flags 0x${flags.toString(16)}`,
    `\tkey ${keySize}B  value ${valueSize}B  max_entries ${maxEntries}${memlock === null ? "" : `  memlock ${memlock}B`}`,
    ...(owner === null
      ? []
      : [`\towner_prog_type ${inLine(programTypeName(owner.type))}  owner${owner.jited ? "" : " not"} jited`]),
    ...(last.length > 0 ? [`\t${last.join("  ")}`] : []),
    "",
  ].join("\n");
}

/** The same as `bpftool -j map show` has it. */
export function mapJson(row: MapRow): Members {
  const { id, type, name, flags, keySize, valueSize, maxEntries, memlock, frozen, owner, btf } = row;
  return members(
    ["id", id],
    ["type", mapTypeName(type)],
    ["name", name === "" ? undefined : name],
    ["flags", flags],
    ["bytes_key", keySize],
    ["bytes_value", valueSize],
    ["max_entries", maxEntries],
    ["bytes_memlock", memlock ?? undefined],
    ["owner_prog_type", owner === null ? undefined : programTypeName(owner.type)],
    ["owner_jited", owner?.jited],
    ["frozen", frozen ? 1 : 0],
    ["btf_id", btf ?? undefined],
  );
}
