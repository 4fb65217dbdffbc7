import sys from "../../tables/metadata-sys.json";
import td from "../../tables/metadata-td.json";
import vmcs from "../../tables/metadata-vmcs.json";
import vp from "../../tables/metadata-vp.json";

/** Who reads or writes metadata: the VMM of a production TD, the VMM of a debug TD, the TD itself, a service TD. */
export type FieldAccess = "host" | "debug" | "guest" | "servtd";

/** Bits that an access may read and write. */
export interface FieldMasks {
  readonly read: bigint;
  readonly write: bigint;
}

/** One field of the module's metadata, or an array of `fields` of them with `elements` each. */
export interface FieldRow {
  readonly name: string;
  /** Metadata field id of the first element. */
  readonly id: bigint;
  readonly fields: number;
  readonly elements: number;
  readonly masks: Readonly<Record<FieldAccess, FieldMasks>>;
}

interface FieldTable {
  readonly columns: string[];
  readonly fields: (string | number)[][];
}

const ACCESSES: readonly FieldAccess[] = ["host", "debug", "guest", "servtd"];

/** "" is no bit, "*" all bits of an element. */
function maskOf(text: string | number | undefined, full: bigint): bigint {
  if (text === undefined || text === "") return 0n;
  return text === "*" ? full : BigInt(text);
}

function rows(table: FieldTable): readonly FieldRow[] {
  return table.fields.map((row) => {
    const id = BigInt(row[1] ?? 0);
    const full = (1n << (8n << ((id >> 32n) & 3n))) - 1n;
    const mask = (column: string) => maskOf(row[table.columns.indexOf(column)], full);
    const masks = Object.fromEntries(
      ACCESSES.map((access) => [access, { read: mask(`${access}_rd`), write: mask(`${access}_wr`) }]),
    ) as Record<FieldAccess, FieldMasks>;
    // The SYS table does not tell debug from production.
    if (!table.columns.includes("debug_rd")) masks.debug = masks.host;
    return { name: String(row[0]), id, fields: Number(row[2]), elements: Number(row[3]), masks };
  });
}

/**
 * Fields of the module (SYS), in ascending order of class and field code. Source: Intel TDX module 1.5 ABI specification, "Global Metadata Fields";
 * MAX_VCPUS_PER_TD is of later modules.
 */
export const SYS_FIELDS: readonly FieldRow[] = rows(sys);
/** Fields of a TD (TDR and TDCS). TOPOLOGY_ENUM_CONFIGURED and bit 1 of TD_CTLS (ENUM_TOPOLOGY) are of later modules. */
export const TD_FIELDS: readonly FieldRow[] = rows(td);
/** Fields of a vCPU's TD VMCS: class 0 of the VP context, the field code is VMX's. */
export const VMCS_FIELDS: readonly FieldRow[] = rows(vmcs);
/** Fields of a vCPU (TDVPS) without its VMCS. */
export const VP_FIELDS: readonly FieldRow[] = rows(vp);
