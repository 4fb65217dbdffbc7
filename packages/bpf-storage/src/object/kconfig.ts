import type { Btf } from "../btf/btf.js";
import { BtfKind, IntEncoding } from "../btf/kinds.js";
import { alignOf, sizeOf } from "../btf/size.js";
import { MapFlag, MapType } from "../uapi/map-types.js";
import { ObjectError } from "./errors.js";
import type { Extern, ExternBase } from "./externs.js";
import { type MapDefinition, PLAIN_MAP } from "./map-definition.js";

/** Name of the map of what the kernel is configured as. */
export const KCONFIG_MAP = ".kconfig";

/** What a variable of section .kconfig may hold. */
export type KconfigType = "bool" | "char" | "tristate" | "int" | "text";

/** A value of the kernel's configuration. */
export interface KconfigExtern extends ExternBase {
  readonly kind: "kconfig";
  readonly type: KconfigType;
  readonly signed: boolean;
  /** Bytes, and where in the map. */
  readonly size: number;
  readonly align: number;
  readonly offset: number;
}

/**
 * The configuration of the kernel that programs run in: `y`, `m` or `n`, a number, or a text without its quotes. Besides
 * CONFIG_ names: LINUX_KERNEL_VERSION (KERNEL_VERSION of linux/version.h), LINUX_HAS_BPF_COOKIE and
 * LINUX_HAS_SYSCALL_WRAPPER (1 or 0).
 */
export type KconfigPort = (name: string) => number | bigint | string | undefined;

/** A variable of section .kconfig, not placed yet. @throws {ObjectError} extern for a type that no option has */
export function describeKconfig(btf: Btf, base: ExternBase): KconfigExtern {
  const id = btf.target(base.btfId);
  const type = kconfigType(btf, id);
  if (type === null)
    throw new ObjectError("extern", `${base.name}: expected bool, char, an integer, enum libbpf_tristate or char[]`);
  const resolved = btf.resolved(id);
  const signed = resolved.kind === BtfKind.Int && (resolved.encoding & IntEncoding.Signed) !== 0;
  return { ...base, kind: "kconfig", type, signed, size: sizeOf(btf, id), align: alignOf(btf, id), offset: 0 };
}

function kconfigType(btf: Btf, id: number): KconfigType | null {
  const type = btf.resolved(id);
  switch (type.kind) {
    case BtfKind.Int:
      if ((type.encoding & IntEncoding.Bool) !== 0) return type.size === 1 ? "bool" : null;
      if (type.size === 1) return "char";
      return [2, 4, 8].includes(type.size) ? "int" : null;
    case BtfKind.Enum:
    case BtfKind.Enum64:
      return type.name === "libbpf_tristate" && (type.size === 4 || type.kind === BtfKind.Enum64) ? "tristate" : null;
    case BtfKind.Array:
      return type.count > 0 &&
        btf.kind(btf.resolve(type.type)) === BtfKind.Int &&
        kconfigType(btf, type.type) === "char"
        ? "text"
        : null;
    default:
      return null;
  }
}

/** Gives each its place: those of larger alignment first, then smaller ones, then by name. */
export function placeKconfig(externs: ReadonlyMap<number, Extern>): Map<number, Extern> {
  const entries = [...externs].flatMap(([symbol, one]) => (one.kind === "kconfig" ? [{ symbol, one }] : []));
  entries.sort((a, b) => b.one.align - a.one.align || a.one.size - b.one.size || (a.one.name < b.one.name ? -1 : 1));
  const placed = new Map(externs);
  let end = 0;
  for (const { symbol, one } of entries) {
    const offset = Math.ceil(end / one.align) * one.align;
    placed.set(symbol, { ...one, offset });
    end = offset + one.size;
    if (end > MOST_BYTES) throw new ObjectError("limit", `more than ${MOST_BYTES} bytes in section .kconfig`);
  }
  return placed;
}

const MOST_BYTES = 1 << 20;

/**
 * The map of section .kconfig with its values; null if the object asks for none.
 * @throws {ObjectError} extern for an option that is missing and not weak, or does not fit its variable
 */
export function kconfigMap(externs: readonly Extern[], port: KconfigPort): MapDefinition | null {
  const wanted = externs.filter((one) => one.kind === "kconfig");
  if (wanted.length === 0) return null;
  const contents = new Uint8Array(wanted.reduce((most, { offset, size }) => Math.max(most, offset + size), 0));
  for (const one of wanted) {
    const value = port(one.name);
    if (value === undefined) {
      // The kernel's configuration does not name what is off.
      if (!one.weak && !one.name.startsWith("CONFIG_"))
        throw new ObjectError("extern", `${one.name} is no such value of a kernel`);
      if (!one.weak) throw new ObjectError("extern", `${one.name} is not set in the kernel's configuration`);
      continue;
    }
    contents.set(encode(one, value), one.offset);
  }
  return {
    ...PLAIN_MAP,
    ...{
      name: KCONFIG_MAP,
      origin: "kconfig",
      type: MapType.Array,
      keySize: 4,
      valueSize: contents.length,
      maxEntries: 1,
    },
    ...{ flags: MapFlag.Mmapable | MapFlag.RdonlyProg, contents, frozen: true },
    variables: wanted.map(({ name, offset, size, btfId }) => ({ name, offset, size, typeId: btfId })),
  };
}

/** The bytes of a value; a text is cut to what its variable holds. */
function encode({ name, type, signed, size }: KconfigExtern, value: number | bigint | string): Uint8Array {
  const bytes = new Uint8Array(size);
  const refuse = (): never => {
    throw new ObjectError("extern", `${name} is ${value}, which does not fit ${size} bytes of ${type}`);
  };
  if (type === "text") {
    if (typeof value !== "string") return refuse();
    for (let k = 0; k < Math.min(value.length, size - 1); k++) bytes[k] = value.charCodeAt(k);
    return bytes;
  }
  const state = typeof value === "string" ? ["n", "y", "m"].indexOf(value) : -1;
  if (typeof value === "string" && state < 0) return refuse();
  if (type === "tristate") bytes[0] = state >= 0 ? state : refuse();
  else if (type === "bool" && state >= 0) bytes[0] = state < 2 ? state : refuse();
  else if (type === "char" && state >= 0) bytes[0] = (value as string).charCodeAt(0);
  else if (type === "int" && state >= 0) return refuse();
  else {
    const number = BigInt(value);
    const kept = signed ? BigInt.asIntN(8 * size, number) : BigInt.asUintN(8 * size, number);
    const whole = size === 8 ? BigInt.asUintN(64, number) === BigInt.asUintN(64, kept) : kept === number;
    if (!whole || (type === "bool" && number > 1n)) return refuse();
    for (let k = 0; k < size; k++) bytes[k] = Number((kept >> BigInt(8 * k)) & 0xffn);
  }
  return bytes;
}
