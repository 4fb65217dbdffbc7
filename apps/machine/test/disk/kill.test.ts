import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, it } from "vitest";
import { openImage } from "../../src/node.js";
import { check, hasQemuImg, qemuImg } from "./qemu-img.js";

const dir = mkdtempSync(join(tmpdir(), "vm-kill-"));
afterAll(() => rmSync(dir, { recursive: true }));

const SECTORS = 16384;
const LIBRARY = new URL("../../dist/node.js", import.meta.url).href;
const RUNS = 4 * Number(process.env.VM_QCOW2_RUNS ?? 1);

/** Writes without end, eight at a time that do not touch each other, and says what it begins ("b FROM TO FILL") and what is done ("d FROM TO FILL"). */
const WRITER = `
import { writeSync } from "node:fs";
import { openImage } from ${JSON.stringify(LIBRARY)};
const [path, seed] = process.argv.slice(1);
const disk = await openImage(path);
let state = Number(seed) | 1;
const below = (limit) => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return Math.floor(((state >>> 8) / 2 ** 24) * limit);
};
const lane = ${SECTORS} / 8;
let fill = 0;
const work = async (k) => {
  for (;;) {
    const from = k * lane + below(lane);
    const to = Math.min(from + 1 + below(120), (k + 1) * lane);
    const byte = (fill = (fill % 250) + 1);
    writeSync(1, \`b \${from} \${to} \${byte}\\n\`);
    await disk.write(from, new Uint8Array((to - from) * 512).fill(byte));
    writeSync(1, \`d \${from} \${to} \${byte}\\n\`);
    if (below(10) === 0) await disk.flush();
  }
};
await Promise.all(Array.from({ length: 8 }, (_, k) => work(k)));
`;

/** Lets the writer run until it has said `lines` lines, kills it, and returns all it said. */
async function written(path: string, seed: number, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", WRITER, path, `${seed}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const said: string[] = [];
  for await (const line of createInterface(child.stdout)) if (said.push(line) === lines) child.kill("SIGKILL");
  await ended;
  return said;
}

describe.skipIf(!hasQemuImg).each([
  ["raw", ["-f", "raw"]],
  ["qcow2", ["-f", "qcow2", "-o", "cluster_size=16k"]],
  ["qcow2 over a backing file", ["-f", "qcow2", "-o", "cluster_size=64k", "-b", join(dir, "base.raw"), "-F", "raw"]],
])("%s", (name, flags) => {
  it("after SIGKILL at any moment the image is sound, opens at once, and has every write that was done", async () => {
    writeFileSync(join(dir, "base.raw"), new Uint8Array(SECTORS * 512));
    for (let run = 0; run < RUNS; run++) {
      const path = join(dir, `image-${run}`);
      qemuImg("create", "-q", ...flags, path, `${SECTORS * 512}`);
      const [seed, lines] = [Math.floor(Math.random() * 2 ** 31), 1 + Math.floor(Math.random() * 600)];
      const said = await written(path, seed, lines);
      // What may be there: the last write that was done, and those begun since.
      const allowed = Array.from({ length: SECTORS }, () => [0]);
      for (const line of said) {
        const [what, from, to, byte] = line.split(" ");
        for (let n = Number(from); n < Number(to); n++) {
          if (what === "b") allowed[n]?.push(Number(byte));
          else allowed[n] = [Number(byte)];
        }
      }
      const disk = await openImage(path, { mode: "ro" });
      const seen = new Uint8Array(SECTORS * 512);
      await disk.read(0, seen);
      await disk.close();
      const wrong = allowed.flatMap((bytes, n) => (bytes.includes(seen[n * 512] ?? -1) ? [] : [n]));
      expect({ seed, lines, wrong }).toEqual({ seed, lines, wrong: [] });
      if (name !== "raw") expect(check(path)).toMatchObject({ errors: 0, corruptions: 0 });
      rmSync(path);
    }
  });
});
