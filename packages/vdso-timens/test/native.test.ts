import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Offsets, VvarAbiName } from "@vm/vdso-timens";
import { afterAll, describe, expect, it } from "vitest";
import { Native, type NativeOptions, whyNot } from "./native/native.js";
import { compile, has, PROGRAMS } from "./native/programs.js";

/** Programs of this host, run on its processor with our image and pages. */

const folder = mkdtempSync(join(tmpdir(), "vm-native-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ABIS: readonly VvarAbiName[] = ["linux-5.6", "linux-6.18"];
const MODES = ["tsc", "pvclock", "none"] as const;
/** With `npm run test:timens` everything, else a sample. */
const full = process.env.VM_TIMENS === "full";
const OFFSETS: Offsets = { monotonic: { sec: 864_000, nsec: 5 }, boottime: { sec: -1, nsec: 7 } };
const [MONOTONIC, BOOTTIME] = [864_000_000_000_005n, -999_999_993n];
const reason = await whyNot(folder);
const skip = (why: string | null): boolean => {
  if (why !== null) console.log(`skipped: ${why}`);
  return why !== null;
};

/** What `build` makes, null where that cannot be done. */
function built(needs: string, build: () => string): string | null {
  if (!has(needs)) return null;
  try {
    return build();
  } catch {
    return null;
  }
}

describe.skipIf(skip(reason))("natively", () => {
  const native = reason === null ? new Native(folder) : (undefined as never);

  const EXPECTED = [
    ...["realtime", "monotonic", "raw", "boottime", "tai", "realtime coarse", "monotonic coarse"],
    ...["gettimeofday", "time", "process", "thread"],
  ].map((name) => `${name} ok`);
  const REST = ["resolution 1 4000000 0 -1", "cpu ok", "bad clock -1", ""];

  const kinds: readonly { name: string; needs: string; build: () => string }[] = [
    { name: "a static glibc program", needs: "cc", build: () => compile(folder, "probe.c", "cc", "-static") },
    { name: "a dynamic glibc program", needs: "cc", build: () => compile(folder, "probe.c") },
    { name: "a musl program", needs: "musl-gcc", build: () => compile(folder, "probe.c", "musl-gcc", "-static") },
  ];
  describe.each(kinds)("$name", ({ needs, build }) => {
    const program = built(needs, build);
    const missing = skip(program === null ? `${needs} cannot build it here` : null);
    for (const abi of ABIS)
      for (const mode of MODES) {
        it.skipIf(missing)(`reads every clock as the kernel does (${abi}, ${mode})`, async () => {
          const { stdout, stderr } = await native.run({ abi, mode }, program as string);
          expect(stderr + stdout).toBe([...EXPECTED, ...REST].join("\n"));
        });
        it.skipIf(missing)(`reads them with the offsets of its namespace (${abi}, ${mode})`, async () => {
          // Without a counter the kernel answers, and it knows nothing of the namespace.
          const [monotonic, boottime] = mode === "none" ? [0n, 0n] : [MONOTONIC, BOOTTIME];
          const args = [monotonic, boottime, MONOTONIC].map(String);
          const { stdout, stderr } = await native.run({ abi, mode, offsets: OFFSETS }, program as string, ...args);
          expect(stderr + stdout).toBe([...EXPECTED, ...REST].join("\n"));
        });
      }
  });

  /** A day, so that it is seen who was asked. */
  const AHEAD = 86_400;
  /** The pages may be older than the kernel's last correction. */
  const LATE = 1_000_000n;
  const now = (): bigint => BigInt(Date.now()) * 1_000_000n;
  const runs = ABIS.flatMap((abi) => (full ? MODES : MODES.slice(0, 1)).map((mode) => ({ abi, mode })));
  for (const { name, needs, make, read, exact, byTime = false } of PROGRAMS) {
    const missing = skip(has(needs) ? null : `no ${needs} here`);
    it.skipIf(missing).each(runs)(`${name} has its clocks from the image ($abi, $mode)`, async ({ abi, mode }) => {
      const [program, ...args] = make(folder);
      // Without a counter the kernel answers.
      const offset = mode === "none" ? 0n : MONOTONIC;
      const ahead = mode === "none" && !byTime ? 0n : BigInt(AHEAD) * 1_000_000_000n;
      const clocks = () => ({ monotonic: process.hrtime.bigint() + offset, realtime: now() + ahead });
      const before = clocks();
      const { stdout, stderr } = await native.run({ abi, mode, offsets: OFFSETS, ahead: AHEAD }, program, ...args);
      const after = clocks();
      expect(stderr).toBe("");
      const { monotonic, realtime } = read(stdout);
      expect(realtime).toBeGreaterThanOrEqual(before.realtime - exact - LATE);
      expect(realtime).toBeLessThanOrEqual(after.realtime + LATE);
      if (monotonic === null) return;
      expect(monotonic).toBeGreaterThanOrEqual(before.monotonic - exact - LATE);
      expect(monotonic).toBeLessThanOrEqual(after.monotonic + exact + LATE);
    });
  }

  it.each(ABIS)("a signal within the image is unwound by the compiler's unwinder (%s)", async (abi) => {
    const program = compile(folder, "unwind.c", "cc", "-rdynamic");
    const { stdout, stderr } = await native.run({ abi }, program);
    expect(stderr).toBe("");
    const names = stdout.trim().split("\n");
    expect(
      names.filter((name) => /clock_gettime|asks|calls|main$/.test(name)).map((name) => name.replace("__vdso_", "")),
    ).toEqual(expect.arrayContaining(["clock_gettime", "asks", "calls", "main"]));
  });

  it.skipIf(skip(has("gdb") ? null : "no gdb here")).each(ABIS)(
    "gdb goes through it and names it (%s)",
    async (abi) => {
      const program = compile(folder, "unwind.c", "cc", "-rdynamic");
      let session: Promise<string> = Promise.resolve("");
      const stopped = (pid: number): void => {
        const commands = ["handle SIGSTOP nostop noprint nopass", "continue", "backtrace", "kill"];
        const args = ["-nx", "-batch", "-p", String(pid), ...commands.flatMap((command) => ["-ex", command])];
        session = promisify(execFile)("gdb", args).then(({ stdout }) => stdout);
      };
      await native.run({ abi, stopped }, program);
      const frames = [...(await session).matchAll(/^#\d+ .*?(\w+) \(/gm)].map(([, name]) => name);
      expect(frames.map((name) => name?.replace(/^__vdso_|^__GI___/, ""))).toEqual([
        ...["clock_gettime", "clock_gettime", "asks", "calls", "main"],
      ]);
    },
  );

  const options: NativeOptions = { abi: "linux-6.18" };
  it("a program's children have it too, and what they execute", async () => {
    const program = compile(folder, "probe.c", "cc", "-static");
    const { stdout } = await native.run(
      { ...options, offsets: OFFSETS },
      "sh",
      "-c",
      `${program} ${MONOTONIC} ${BOOTTIME}; exit 0`,
    );
    expect(stdout).toBe([...EXPECTED, ...REST].join("\n"));
  });
});
