import { readFileSync } from "node:fs";
import type { Vendor } from "../replay/vendors.js";

/** The processor of this machine, as Linux describes it. */
export interface HostProcessor {
  readonly name: string;
  /** Whose differences it has. */
  readonly vendor: Vendor;
  /** iced-x86 names of the offered features it lacks. */
  readonly missing: ReadonlySet<string>;
}

/** Offered features (iced-x86) that a processor may lack, and what Linux calls them. */
const FLAG_OF: Readonly<Record<string, string>> = {
  ADX: "adx",
  AES: "aes",
  BMI1: "bmi1",
  CLFLUSHOPT: "clflushopt",
  CLFSH: "clflush",
  CLWB: "clwb",
  CMOV: "cmov",
  CMPXCHG16B: "cx16",
  CX8: "cx8",
  FPU: "fpu",
  FSGSBASE: "fsgsbase",
  FXSR: "fxsr",
  LZCNT: "abm",
  MMX: "mmx",
  MOVBE: "movbe",
  PCLMULQDQ: "pclmulqdq",
  POPCNT: "popcnt",
  PREFETCHW: "3dnowprefetch",
  SHA: "sha_ni",
  SSE: "sse",
  SSE2: "sse2",
  SSE3: "pni",
  SSE4_1: "sse4_1",
  SSE4_2: "sse4_2",
  SSSE3: "ssse3",
  XSAVE: "xsave",
  XSAVEC: "xsavec",
  XSAVEOPT: "xsaveopt",
};

/** Hygon's processors are AMD's design. Of others nothing is known: they must do as Intel's. */
const VENDOR_OF: Readonly<Record<string, Vendor>> = { AuthenticAMD: "amd", HygonGenuine: "amd" };

/** @param cpuinfo text of /proc/cpuinfo */
export function parseProcessor(cpuinfo: string): HostProcessor {
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(cpuinfo)?.[1] ?? "";
  const flags = new Set(field("flags").split(" "));
  const numbers = `family ${field("cpu family")} model ${field("model")} stepping ${field("stepping")}`;
  return {
    name: `${field("model name")} (${numbers})`,
    vendor: VENDOR_OF[field("vendor_id")] ?? "intel",
    missing: new Set(Object.keys(FLAG_OF).filter((feature) => !flags.has(FLAG_OF[feature] as string))),
  };
}

export const hostProcessor = (): HostProcessor => parseProcessor(readFileSync("/proc/cpuinfo", "latin1"));
