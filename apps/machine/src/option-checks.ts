import { MAX_RATE, MAX_TIME, MIN_RATE } from "@vm/vdso-timens";
import { MachineError } from "./error.js";
import * as L from "./layout.js";
import type { MachineSnapshot } from "./machine-snapshot.js";
import type { MachineOptions } from "./options.js";

/** What is wrong with a value, as the end of a sentence that begins with the option's name; null if nothing is. */
type Check = (value: unknown) => string | null;

/** Latest time of day at which a machine can start, seconds since 1970: the last of a {@link VmClock}. */
export const MAX_UNIX_TIME = Math.floor(MAX_TIME / 1e9);

const quoted = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  return Array.isArray(value) ? "an array" : `an object (${value.constructor?.name ?? "Object"})`;
};

const mib = (bytes: number): string => `${Number((bytes / 2 ** 20).toFixed(3))} MiB`;
const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

const bytes: Check = (value) => {
  if (kindOf(value) === "Uint8Array") return null;
  const hint = typeof value === "string" ? "; read the file first, as with readFile of node:fs/promises" : "";
  return `takes the bytes of a file, a Uint8Array, not ${quoted(value)}${hint}`;
};
const text: Check = (value) => (typeof value === "string" ? null : `takes a string, not ${quoted(value)}`);
const flag: Check = (value) => (typeof value === "boolean" ? null : `takes true or false, not ${quoted(value)}`);
const callable: Check = (value) => (typeof value === "function" ? null : `takes a function, not ${quoted(value)}`);
const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string) ? null : `takes ${values.map((v) => `"${v}"`).join(" or ")}, not ${quoted(value)}`;
const integer =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most
      ? null
      : `takes a whole number from ${least} to ${most}, not ${quoted(value)}`;
const number =
  (what: string, least: number, most: number): Check =>
  (value) =>
    typeof value === "number" && value >= least && value <= most
      ? null
      : `takes ${what} from ${least} to ${most}, not ${quoted(value)}`;
const listOf =
  (what: string, members: readonly string[], hint = ""): Check =>
  (value) => {
    if (!Array.isArray(value)) return `takes an array of ${what}, not ${quoted(value)}`;
    const wrong = value.findIndex((element) => members.some((member) => element?.[member] === undefined));
    return wrong < 0 ? null : `takes an array of ${what}; element ${wrong} is ${quoted(value[wrong])}${hint}`;
  };

const memory: Check = (value) => {
  if (typeof value !== "number") return `takes a number of bytes, such as 512 * 2 ** 20, not ${quoted(value)}`;
  if (!(value >= L.MIN_RAM && value <= L.MAX_RAM))
    return `is ${mib(value)}: a machine can have ${mib(L.MIN_RAM)} to ${mib(L.MAX_RAM)}`;
  return value % 4096 === 0 ? null : `is ${value} bytes, which is no multiple of 4096`;
};

const disks: Check = (value) => {
  const wrong = listOf("disks", ["sectors", "read"], "; open it first, as with openDisk of @vm/machine/node")(value);
  if (wrong !== null) return wrong;
  const { length } = value as readonly unknown[];
  return length <= L.MAX_DISKS ? null : `has ${length} elements: a machine can have ${L.MAX_DISKS} disks`;
};

/** Every option, and what it takes. Undefined is as good as absent. */
const CHECKS: { readonly [K in keyof MachineOptions]-?: Check } = {
  kernel: bytes,
  initrd: bytes,
  unpack: oneOf("host", "guest", "auto"),
  agent: flag,
  commandLine: text,
  memory,
  memoryBackend: oneOf("anonymous", "guest-memfd"),
  lockdep: (value) => (typeof value === "object" && value !== null ? null : `takes a Lockdep, not ${quoted(value)}`),
  cpus: integer(1, L.MAX_CPUS),
  disks,
  clock: oneOf("host", "icount"),
  engine: oneOf("interpreter", "jit", "auto"),
  plugins: listOf("plugins", ["name", "install"]),
  legacyDevices: flag,
  pci: flag,
  kvmClock: flag,
  asyncPf: flag,
  testDevices: flag,
  cpuid: listOf("CPUID leaves", ["leaf", "eax", "ebx", "ecx", "edx"]),
  unixTime: number("seconds since 1970,", 0, MAX_UNIX_TIME),
  clockOffset: number("seconds", -MAX_UNIX_TIME, MAX_UNIX_TIME),
  clockRate: number("a number", MIN_RATE, MAX_RATE),
  seed: integer(-(2 ** 31), 2 ** 32 - 1),
  snapshot: (value) =>
    typeof (value as MachineSnapshot | null)?.pieces === "function" ? null : `takes a snapshot, not ${quoted(value)}`,
  signal: (value) => (kindOf(value) === "AbortSignal" ? null : `takes an AbortSignal, not ${quoted(value)}`),
  hostUsage: callable,
};

/** @throws {MachineError} `option`: one sentence that names the option, its value and what would be accepted */
export function checkOptions(options: MachineOptions): void {
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(CHECKS, name) ? CHECKS[name as keyof MachineOptions] : undefined;
    if (check === undefined) {
      const known = Object.keys(CHECKS).join(", ");
      throw new MachineError("option", `there is no option ${JSON.stringify(name)}; a machine takes ${known}`);
    }
    const wrong = value === undefined ? null : check(value);
    if (wrong !== null) throw new MachineError("option", `${name} ${wrong}`);
  }
  if (options.initrd !== undefined && options.kernel === undefined)
    throw new MachineError("option", "initrd needs a kernel to go with it");
  if (options.agent === true && options.kernel === undefined)
    throw new MachineError("option", "agent needs a Linux kernel; the built-in guest runs no other programs");
}
