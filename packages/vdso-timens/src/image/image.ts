import { Assembler } from "@vm/asm";
import { VdsoError } from "../errors.js";
import { PAGE, VVAR_ABIS, type VvarAbi, type VvarAbiName } from "../vvar/abi.js";
import { Code } from "./code.js";
import { FUNCTIONS } from "./functions.js";
import { sharedObject, type Text } from "./shared-object.js";

export interface VdsoOptions {
  /** Layout of the pages that the image reads; default `linux-6.18`. */
  readonly abi?: VvarAbiName;
  /** Resolution of the coarse clocks in nanoseconds, 1 to 10^9 - 1; default 4000000, that of a kernel with HZ=250. */
  readonly tickNs?: number;
  /** How a CPU tells its number: by RDPID, or by LSL of the segment 0x78 (default). Bits 0 to 11 are the CPU, those above the node. */
  readonly cpuNumber?: "lsl" | "rdpid";
}

/** A vDSO: to be mapped, readable and executable, at once behind the pages that it reads. */
export interface VdsoImage {
  readonly abi: VvarAbi;
  /** Whole pages. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offsets in `bytes` of what it exports. */
  readonly symbols: ReadonlyMap<string, number>;
}

const SONAME = "linux-vdso.so.1";
const VERSION = "LINUX_2.6";
const KERNEL: Readonly<Record<VvarAbiName, number>> = { "linux-5.6": 0x050600, "linux-6.18": 0x061200 };

/**
 * Makes the image.
 * @throws VdsoError for an option out of range
 * @example const { bytes } = vdsoImage({ abi: "linux-5.6" });
 */
export function vdsoImage({ abi = "linux-6.18", tickNs = 4_000_000, cpuNumber = "lsl" }: VdsoOptions = {}): VdsoImage {
  const layout = VVAR_ABIS[abi];
  if (layout === undefined)
    throw new VdsoError("option", `abi ${abi}: expected ${Object.keys(VVAR_ABIS).join(" or ")}`);
  if (!Number.isInteger(tickNs) || tickNs < 1 || tickNs >= 1e9)
    throw new VdsoError("option", `tickNs ${tickNs}: expected an integer from 1 to 999999999`);
  const exports = FUNCTIONS.flatMap(({ name }, k) => [
    { name: `__vdso_${name}`, weak: false, function: k },
    { name, weak: true, function: k },
  ]);
  const symbols = new Map<string, number>();
  const object = sharedObject(
    { soname: SONAME, version: VERSION, exports, functions: FUNCTIONS.length, kernelVersion: KERNEL[abi] },
    (at) => {
      const text = assemble(layout, at, { tickNs, cpuNumber });
      for (const { name, function: k } of exports) symbols.set(name, (text.functions[k] as { at: number }).at);
      return text;
    },
  );
  const bytes = new Uint8Array(Math.ceil(object.length / PAGE) * PAGE);
  bytes.set(object);
  return { abi: layout, bytes, symbols };
}

const FUNCTION_ALIGN = 16;

function assemble(abi: VvarAbi, at: number, options: { tickNs: number; cpuNumber: "lsl" | "rdpid" }): Text {
  const a = new Assembler();
  const image = a.here("image");
  a.emit(new Uint8Array(at));
  const functions = FUNCTIONS.map(({ emit }) => {
    a.align(FUNCTION_ALIGN);
    const start = a.offset;
    emit(new Code(a, image, { abi, ...options }));
    return { at: start, size: a.offset - start };
  });
  return { bytes: a.assemble().subarray(at), functions };
}
