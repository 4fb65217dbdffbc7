/** The programs of others that are baselines here. None has to be installed: what is missing is said and left out. */
import { fileURLToPath } from "node:url";
import { BenchError } from "./errors.js";
import { measure } from "./measure.js";

export const QEMU = "qemu-system-x86_64";

/**
 * Machine `pc` and not `microvm`: under TCG without icount, microvm calibrates its TSC against the PIT alone and hangs when
 * the host is busy; pc has other references.
 */
export const QEMU_FLAGS: readonly string[] = [
  ...["-accel", "tcg,thread=single", "-machine", "pc", "-cpu", "max", "-smp", "1"],
  ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"],
];

/** First line a program says of its version; undefined where it is not installed. */
export async function versionOf(program: string): Promise<string | undefined> {
  try {
    return (await measure(program, ["--version"])).stdout.split("\n")[0];
  } catch (error) {
    if (error instanceof BenchError) return undefined;
    throw error;
  }
}

/** Where npm's v86 is: its module and its wasm. Undefined where it is not installed, as with `--prod`. */
export function findV86(): { readonly module: string; readonly wasm: string } | undefined {
  try {
    const module = import.meta.resolve("v86");
    return { module, wasm: fileURLToPath(new URL("v86.wasm", module)) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}
