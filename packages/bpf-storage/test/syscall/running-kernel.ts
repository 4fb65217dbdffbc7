import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Generation } from "../../src/index.js";
import { type Outcome, readOutcomes, type Script, written } from "./script.js";

/** How many calls; asks for a kernel of 6.12 or later that lets us make them all, and a compiler. */
export const KERNEL_CALLS = Number(process.env.VM_BPF_KERNEL_CALLS ?? 0);

/** A command that runs a program on another kernel, with its input and output, and what that kernel is: a machine of QEMU's, say. */
export const RUNNER = process.env.VM_BPF_KERNEL_RUNNER ?? "";
export const GENERATION: Generation = process.env.VM_BPF_KERNEL_GENERATION === "6.1" ? "6.1" : "6.12";

/** The program that makes the calls of scripts, compiled. */
export class RunningKernel {
  readonly #folder = mkdtempSync(join(tmpdir(), "vm-bpf-calls-"));
  readonly #program = join(this.#folder, "bpf-calls");
  /** CPUs that the kernel counts with: 0-3 is four. */
  readonly cpus: number;

  constructor() {
    const source = fileURLToPath(new URL("native/bpf-calls.c", import.meta.url));
    execFileSync("cc", ["-O1", "-static", "-o", this.#program, source], { stdio: "pipe" });
    const possible = readFileSync("/sys/devices/system/cpu/possible", "utf8");
    const here = Number(possible.trim().split(/[-,]/).at(-1)) + 1;
    this.cpus = Number(process.env.VM_BPF_KERNEL_CPUS ?? here);
  }

  /** What comes of scripts, each of which starts with nothing. */
  ask(scripts: readonly Script[]): Outcome[][] {
    const input = scripts.map(written).join("");
    const options = { input, encoding: "utf8", maxBuffer: 1 << 30 } as const;
    const output =
      RUNNER === "" ? execFileSync(this.#program, options) : execFileSync(RUNNER, [this.#program], options);
    const lines = output.split("\n");
    let at = 0;
    return scripts.map((script) => {
      const part = lines.slice(at, at + script.length);
      at += script.length;
      return readOutcomes(script, part);
    });
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
