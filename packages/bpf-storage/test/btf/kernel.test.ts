import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkBtf } from "../../src/btf/check.js";
import { BpfError, ERRNO } from "../../src/errors.js";
import { everything, mutated } from "./mutate.js";

/** How many are tried; asks for a kernel of 6.12 or later that lets us load type information. */
const COUNT = Number(process.env.VM_BPF_KERNEL ?? 0);
/** Later kernels accept tags with this flag (6.14). */
const NEWER = /Invalid btf_info kind_flag/;

/** Errno of BPF_BTF_LOAD for each, from the running kernel. */
function askKernel(blobs: readonly Uint8Array[]): number[] {
  const folder = mkdtempSync(join(tmpdir(), "vm-bpf-btf-"));
  try {
    const program = join(folder, "btf-load");
    const source = fileURLToPath(new URL("native/btf-load.c", import.meta.url));
    execFileSync("cc", ["-O1", "-o", program, source], { stdio: "pipe" });
    const input = Buffer.concat(
      blobs.flatMap((blob) => [Buffer.from(Uint32Array.of(blob.length).buffer), Buffer.from(blob)]),
    );
    return execFileSync(program, { input, encoding: "utf8", maxBuffer: 1 << 28 })
      .trim()
      .split("\n")
      .map(Number);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What we say: an errno, and why. */
function own(bytes: Uint8Array): readonly [errno: number, why: string] {
  try {
    checkBtf(bytes);
  } catch (error) {
    if (error instanceof BpfError) return [ERRNO[error.code], error.message];
    throw error;
  }
  return [0, "accepted"];
}

describe.skipIf(COUNT === 0)("the running kernel", () => {
  test("says the same about mutated type information", () => {
    const blobs = [everything(), ...fc.sample(mutated(everything()), COUNT)];
    const verdicts = askKernel(blobs);
    expect(verdicts[0]).toBe(0);
    const different = blobs.flatMap((blob, k) => {
      const [errno, why] = own(blob);
      return errno === verdicts[k] || NEWER.test(why)
        ? []
        : [`${why}: the kernel says ${verdicts[k]}: ${Buffer.from(blob).toString("hex")}`];
    });
    expect(different).toEqual([]);
  });
});
