import type { CpuState, Overrides } from "./initial-state.js";
import type { Raised } from "./recorder-machine.js";
import { ATTR_DB, parseSegments, type SegmentTexts } from "./segments.js";

/** Number of SS among segment registers. */
const SS = 2;

/** A recorded vector: one line of the file. Only what changed is there; numbers in strings are hexadecimal. */
export interface Vector {
  readonly i: number;
  /** What it shows, where that is worth a sentence. */
  readonly name?: string;
  /** Who made the processor it was recorded on, if not Intel: see `VENDOR_DIFFERENCES`. */
  readonly p?: "amd";
  /** Seed of the initial state. */
  readonly s: string;
  /** Instruction bytes; of a block, all of them. */
  readonly c: string;
  /** Instructions, when it is a block: a straight line that ran to its end or to the exception `x`. */
  readonly b?: number;
  /** Bits of code in compatibility mode; absent = 64-bit mode. */
  readonly mode?: 16 | 32;
  /** Local descriptors. */
  readonly sg?: SegmentTexts;
  /** Selectors that changed, by segment register. */
  readonly sl?: Readonly<Record<string, string>>;
  readonly o?: Overrides;
  /** Vector, error code, CR2 of the exception that stopped it. */
  readonly x?: readonly [number, number, string?];
  /** RIP after, relative to the first byte; absent = behind the last. */
  readonly ip?: number;
  readonly g?: Readonly<Record<string, string>>;
  readonly f?: number;
  /** Vector registers, 64 bytes each in memory order. */
  readonly z?: Readonly<Record<string, string>>;
  readonly mx?: number;
  readonly fcw?: number;
  readonly fsw?: number;
  readonly ftw?: number;
  /** x87 registers by physical number. */
  readonly st?: Readonly<Record<string, string>>;
  /** Memory, by offset in the data page. */
  readonly m?: Readonly<Record<string, string>>;
  /** Iterations of a repeated string instruction, when more than one. */
  readonly n?: number;
}

/** Most instructions of a block. */
export const MAX_BLOCK = 8;

/** @throws VectorFormatError when `line` is not a vector */
export function parseVector(line: string, lineNumber: number): Vector {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new VectorFormatError(lineNumber, "not JSON");
  }
  const { i, p, s, c, b, mode, sg } = (value ?? {}) as Partial<Vector>;
  if (typeof i !== "number") throw new VectorFormatError(lineNumber, `"i" is ${JSON.stringify(i)}, not a number`);
  if (typeof s !== "string" || !/^[0-9a-f]{1,16}$/.test(s))
    throw new VectorFormatError(lineNumber, `"s" is ${JSON.stringify(s)}, not a seed of 1 to 16 hexadecimal digits`);
  if (p !== undefined && p !== "amd") throw new VectorFormatError(lineNumber, `"p" is ${JSON.stringify(p)}, not "amd"`);
  if (b !== undefined && !(Number.isInteger(b) && b >= 2 && b <= MAX_BLOCK))
    throw new VectorFormatError(lineNumber, `"b" is ${JSON.stringify(b)}, not 2 to ${MAX_BLOCK} instructions`);
  const most = 15 * (b ?? 1);
  if (typeof c !== "string" || !/^([0-9a-f]{2})+$/.test(c) || c.length > 2 * most)
    throw new VectorFormatError(lineNumber, `"c" is ${JSON.stringify(c)}, not 1 to ${most} bytes in hexadecimal`);
  if (mode !== undefined && mode !== 32 && mode !== 16)
    throw new VectorFormatError(lineNumber, `"mode" is ${JSON.stringify(mode)}, not 16 or 32`);
  if (mode === 16 && sg?.["1"] === undefined)
    throw new VectorFormatError(lineNumber, '"mode" is 16, but "sg" has no segment for CS');
  return value as Vector;
}

/** A line of the file is not a vector. */
export class VectorFormatError extends Error {
  override readonly name = "VectorFormatError";
  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
  }
}

/** Hexadecimal digits of bytes, in memory order. */
export const hexOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, k) => Number.parseInt(hex.slice(2 * k, 2 * k + 2), 16));

/** The bytes of a number of up to 16 hexadecimal digits, least significant first. */
const littleEndian = (hex: string): Uint8Array => bytesOf(hex.padStart(16, "0")).reverse();

/**
 * The state the recorder saw after the instruction: `before` with the vector's changes.
 * @param stackFlags the instruction is PUSHF: the recorder single-steps, so it finds TF set, which is not part of the state
 */
export function expectedState(vector: Vector, before: CpuState, stackFlags = false): CpuState {
  const after: CpuState = {
    ...before,
    gpr: before.gpr.slice(),
    fpr: before.fpr.slice(),
    xmm: before.xmm.slice(),
    selectors: before.selectors.slice(),
    memory: before.memory.slice(),
    rip: vector.ip ?? vector.c.length / 2,
    rflags: vector.f ?? before.rflags,
    mxcsr: vector.mx ?? before.mxcsr,
    fcw: vector.fcw ?? before.fcw,
    fsw: vector.fsw ?? before.fsw,
    ftw: vector.ftw ?? before.ftw,
  };
  for (const [k, hex] of Object.entries(vector.g ?? {})) after.gpr.set(littleEndian(hex), 8 * Number(k));
  for (const [k, hex] of Object.entries(vector.sl ?? {})) after.selectors[Number(k)] = Number.parseInt(hex, 16);
  for (const [k, hex] of Object.entries(vector.st ?? {})) after.fpr.set(bytesOf(hex), 10 * Number(k));
  for (const [k, hex] of Object.entries(vector.z ?? {}))
    if (Number(k) < 16) after.xmm.set(bytesOf(hex.slice(0, 32)), 16 * Number(k));
  for (const [at, hex] of Object.entries(vector.m ?? {})) after.memory.set(bytesOf(hex), Number.parseInt(at, 16));
  if (stackFlags && vector.x === undefined) {
    const stack = vector.sg && parseSegments(vector.sg).get(SS);
    const sp = new DataView(after.gpr.buffer, after.gpr.byteOffset).getUint32(32, true);
    const at = ((stack?.base ?? 0) + (stack && !(stack.attributes & ATTR_DB) ? sp & 0xffff : sp)) & 0xfff;
    after.memory[at + 1] = (after.memory[at + 1] as number) & ~1;
  }
  return after;
}

export function expectedException({ x }: Vector): Raised | null {
  if (x === undefined) return null;
  const digits = (x[2] ?? "0").padStart(16, "0");
  return {
    vector: x[0],
    errorCode: x[1],
    cr2: [Number.parseInt(digits.slice(8), 16) | 0, Number.parseInt(digits.slice(0, 8), 16) | 0],
  };
}
