import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packCpio } from "@vm/guests";
import { afterAll, describe, expect, it } from "vitest";
import { run } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

const dir = mkdtempSync(join(tmpdir(), "vm-cpu-model-"));
afterAll(() => rmSync(dir, { recursive: true }));

const gcc = (input: string, ...args: readonly string[]) =>
  spawnSync("gcc", ["-x", "c", "-", ...args], { input, encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });

/** Names of features that `__builtin_cpu_supports` and a macro of the compiler's both have. */
const FEATURES = (
  "mmx sse sse2 sse3 ssse3 sse4.1 sse4.2 popcnt aes pclmul avx avx2 fma bmi bmi2 avx512f avx512vl avx512bw avx512dq avx512cd " +
  "avx512vbmi avx512ifma avx512vnni gfni vpclmulqdq sse4a fma4 xop"
).split(" ");
const macroOf = (feature: string): string => `__${feature.toUpperCase().replace(".", "_")}__`;

/** A function in the version for one architecture and in one for all, of which gcc's runtime takes one by the model. */
const cloned = (name: string): string =>
  `__attribute__((target_clones("default", "arch=${name}"), noinline)) static float sum_${name.replace(/\W/g, "_")}(const float *x, int n) {
     float s = 0; for (int k = 0; k < n; k++) s += x[k] * x[n - 1 - k] + (float)__builtin_popcountll((long long)x[k]); return s; }\n`;

/** Every architecture this gcc knows the model of. */
function architectures(): readonly string[] {
  const said = gcc("", "-march=none", "-S", "-o", "/dev/null").stderr;
  const names = /valid arguments to .*? are: ([^;\n]*)/.exec(said)?.[1]?.split(" ") ?? [];
  const known = (name: string): boolean => {
    const source = `${cloned(name)}int main(void) { float x[2] = {1, 2}; return __builtin_cpu_is("${name}") + (int)sum_${name.replace(/\W/g, "_")}(x, 2); }`;
    return gcc(source, "-w", "-O3", "-ffast-math", "-S", "-o", "/dev/null").status === 0;
  };
  return names.filter((name) => /^[a-z]/.test(name) && known(name));
}

function program(names: readonly string[]): string {
  const lines = [
    ...names.map((name) => `printf("is ${name} %d\\n", !!__builtin_cpu_is("${name}"));`),
    ...FEATURES.map((name) => `printf("has ${name} %d\\n", !!__builtin_cpu_supports("${name}"));`),
    ...names.map((name) => `printf("sum ${name} %.0f\\n", sum_${name.replace(/\W/g, "_")}(x, 64));`),
  ];
  return `#include <stdio.h>
${names.map(cloned).join("")}
int main(void) { float x[64]; for (int k = 0; k < 64; k++) x[k] = (float)k; ${lines.join("\n")} return 0; }`;
}

const names = guests === null ? [] : architectures();
const binary = join(dir, "cpu");
const built = names.length > 0 && gcc(program(names), "-w", "-O3", "-ffast-math", "-static", "-o", binary).status === 0;

describe.skipIf(!built)("the CPU model, as programs built by architecture name see it", () => {
  it("never makes them take an instruction there is not", async () => {
    const initrd = join(dir, "initrd");
    const added = packCpio([{ path: "cpu", type: "file", mode: 0o755, data: readFileSync(binary) }]);
    writeFileSync(initrd, Buffer.concat([readFileSync(guests?.initrd("6.1") ?? ""), added]));
    const { status, stdout, stderr } = await run(...bootFlags("6.1"), "--initrd", initrd, "--exec", "/cpu");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const found = (what: string): ReadonlyMap<string, string> =>
      new Map(
        [...stdout.matchAll(new RegExp(`^${what} (\\S+) (\\S+)$`, "gm"))].map(
          ([, name, value]) => [name, value] as [string, string],
        ),
      );
    const is = found("is");
    const has = found("has");
    expect([...is.keys()]).toEqual(names);
    expect([...found("sum").keys()]).toEqual(names);
    expect(new Set(found("sum").values()).size).toBe(1);
    // What gcc says an architecture implies, against the bits of CPUID.
    const taken = names.filter((name) => is.get(name) === "1");
    for (const name of taken) {
      const macros = gcc("", `-march=${name}`, "-dM", "-E").stdout;
      for (const feature of FEATURES)
        if (macros.includes(`#define ${macroOf(feature)} 1`))
          expect(has.get(feature), `${name} implies ${feature}`).toBe("1");
    }
    expect(has.get("avx")).toBe("0");
    expect(taken).toContain("goldmont");
  });
});
