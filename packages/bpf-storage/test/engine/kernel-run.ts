import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeInsns, type Insn } from "../../src/isa/insn.js";

/** A program to be run, in a kernel or here. Bytes; none where there are none. */
export interface Case {
  readonly type: number;
  /** Immediate loads of map pointers and values mean the only map, an array with one element. */
  readonly insns: readonly Insn[];
  readonly data: Uint8Array;
  readonly context: Uint8Array;
  /** Value of the map, 512 bytes. */
  readonly value: Uint8Array;
}

/** What became of it. */
export type Ran =
  | {
      readonly kind: "ok";
      readonly retval: number;
      readonly data: string;
      readonly context: string;
      readonly value: string;
    }
  | { readonly kind: "refused" | "failed"; readonly errno: number };

const hex = (bytes: Uint8Array): string => (bytes.length === 0 ? "-" : Buffer.from(bytes).toString("hex"));
const unhex = (text: string | undefined): string => (text === undefined || text === "-" ? "" : text);

/** The running kernel, asked by `kernel-run.c`, which is compiled for that. */
export class Kernel {
  readonly #folder = mkdtempSync(join(tmpdir(), "bpf-kernel-"));
  readonly #program = join(this.#folder, "kernel-run");

  /** @throws if there is no C compiler */
  constructor() {
    const source = fileURLToPath(new URL("kernel-run.c", import.meta.url));
    execFileSync("cc", ["-O1", "-o", this.#program, source]);
  }

  run(cases: readonly Case[]): Ran[] {
    const input = cases.map(
      ({ type, insns, data, context, value }) =>
        `${type} ${hex(encodeInsns(insns))} ${hex(data)} ${hex(context)} ${hex(value)}\n`,
    );
    const { stdout, stderr, status } = spawnSync(this.#program, [], { input: input.join(""), maxBuffer: 1 << 28 });
    if (status !== 0) throw new Error(`kernel-run ended with ${status}: ${stderr}`);
    return stdout
      .toString()
      .trimEnd()
      .split("\n")
      .map((line): Ran => {
        const [kind, number, ...bytes] = line.split(" ");
        if (kind !== "ok") return { kind: kind as "refused" | "failed", errno: Number(number) };
        const [data, context, value] = bytes.map(unhex) as [string, string, string];
        return { kind, retval: Number(number), data, context, value };
      });
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
