import { VcpuStateError } from "./error.js";
import type { EventState, MsrState, SegmentState, TableState, VcpuState, Word64 } from "./vcpu-state.js";

/** More MSRs than there are. */
const MAX_MSRS = 1024;
/** Characters of a refused value that a message shows. */
const SHOWN = 40;

type Reader<T> = (value: unknown, path: string) => T;

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, SHOWN));
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return typeof value === "function" ? "a function" : String(value).slice(0, SHOWN);
}

/** Refuses the value of a field. @param accepted what would not be */
export function refuse(path: string, value: unknown, accepted: string): never {
  throw new VcpuStateError(`${path} is ${shown(value)}: ${accepted}`);
}

const integer =
  (max: number): Reader<number> =>
  (value, path) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max) return value;
    return refuse(path, value, `an integer from 0 to ${max} is wanted`);
  };
const u8 = integer(0xff);
const u16 = integer(0xffff);
const u32 = integer(0xffffffff);
const count = integer(Number.MAX_SAFE_INTEGER);

const flag: Reader<boolean> = (value, path) =>
  typeof value === "boolean" ? value : refuse(path, value, "true or false is wanted");

const oneOf =
  <T extends string>(...words: readonly T[]): Reader<T> =>
  (value, path) =>
    words.find((word) => word === value) ?? refuse(path, value, `one of ${words.join(", ")} is wanted`);

const nullOr =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value, path) =>
    value === null ? null : read(value, path);

/** A copy, which nobody changes afterwards. */
const bytes =
  (length: number): Reader<Uint8Array> =>
  (value, path) => {
    const copy = value instanceof Uint8Array ? new Uint8Array(value) : null;
    return copy?.length === length ? copy : refuse(path, value, `a Uint8Array of ${length} bytes is wanted`);
  };

const array =
  <T>(read: Reader<T>, least: number, most = least): Reader<readonly T[]> =>
  (value, path) => {
    const wanted = least === most ? `${least}` : `${least} to ${most}`;
    if (!Array.isArray(value)) return refuse(path, value, `an array of ${wanted} is wanted`);
    const { length } = value;
    if (length < least || length > most) return refuse(`${path}.length`, length, `${wanted} is wanted`);
    return Array.from({ length }, (_, k) => read(value[k], `${path}[${k}]`));
  };

/** An object of these fields; each is looked at once, and what else it has is left out. */
const object =
  <T>(fields: { readonly [K in keyof T]-?: Reader<T[K]> }): Reader<T> =>
  (value, path) => {
    if (typeof value !== "object" || value === null) return refuse(path, value, "an object is wanted");
    const held = value as { readonly [K in keyof T]?: unknown };
    const read = {} as T;
    for (const name in fields) read[name] = fields[name](held[name], `${path}.${name}`);
    return read;
  };

const word = object<Word64>({ lo: u32, hi: u32 });
const segment = object<SegmentState>({ selector: u16, base: word, limit: u32, attributes: u16 });
const table = object<TableState>({ base: word, limit: u16 });
const event = object<EventState>({
  vector: u8,
  errorCode: nullOr(u32),
  kind: oneOf("exception", "interrupt", "software"),
  generalDetect: flag,
  cr2: nullOr(word),
});
const msr = object<MsrState>({ number: u32, value: word });

const version: Reader<1> = (value, path) => (value === 1 ? 1 : refuse(path, value, "version 1 is known"));

/** Types, lengths and ranges of everything; what the fields have to do with each other is not asked. A copy with nothing else in it. */
export const readShape: (value: unknown) => VcpuState = (value) => STATE(value, "state");

const STATE = object<VcpuState>({
  version,
  general: array(word, 16),
  rip: word,
  rflags: u32,
  segments: array(segment, 6),
  ldtr: segment,
  tr: segment,
  gdtr: table,
  idtr: table,
  cr0: u32,
  cr2: word,
  cr3: word,
  cr4: u32,
  xcr0: u32,
  pkru: u32,
  view: u16,
  debug: array(word, 6),
  fcw: u16,
  fsw: u16,
  ftw: u8,
  fpr: bytes(80),
  mxcsr: u32,
  xmm: bytes(256),
  efer: u32,
  msrs: array(msr, 0, MAX_MSRS),
  tscOffset: word,
  tscAdjust: word,
  activity: oneOf("active", "hlt", "shutdown", "wait-for-sipi"),
  wakeMasked: flag,
  shadow: oneOf("none", "sti", "mov-ss"),
  nmiPending: flag,
  nmiBlocked: flag,
  event: nullOr(event),
  debugTraps: u32,
  retired: count,
  singleStep: flag,
});
