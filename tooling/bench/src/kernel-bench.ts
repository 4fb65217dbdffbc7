/** The same static ELF run as a program of the guest and natively, program by program. */
import { createHash } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Guests, Series } from "@vm/guests";
import { BenchError } from "./errors.js";
import { addToInitrd, buildKernels, ELEVEN, GUEST_PATH, KERNELS, type KernelName } from "./kernels.js";
import { Marks, type Span } from "./marks.js";
import { measure } from "./measure.js";
import { geomean, table } from "./numbers.js";
import { benchCache } from "./paths.js";
import { APPEND, type Boot, bootHere } from "./vm.js";

/** Natively a program is over in milliseconds and a tick is ten: it runs this many times the guest's scale. */
const NATIVE_SCALE = 32;

type Say = (text: string) => void;

function span(marks: Marks, name: KernelName, where: string): Span {
  const found = marks.spans.get(name);
  if (found === undefined) throw new BenchError(`${name} did not finish ${where}`);
  return found;
}

/** Native CPU seconds per unit of scale. */
async function native(elf: string, name: KernelName, scale: number): Promise<number> {
  const measured = await measure(elf, [String(scale * NATIVE_SCALE), String(KERNELS.indexOf(name) + 1)]);
  if (measured.status !== 0) throw new BenchError(`${name} ended natively with ${measured.status}`);
  return measured.cpuSeconds / NATIVE_SCALE;
}

/** Checksums of a native run at the guest's scale: what the guest has to print. */
async function checksums(elf: string, scale: number): Promise<Marks> {
  const marks = new Marks();
  await measure(elf, [String(scale)], { onLine: marks.line });
  return marks;
}

/**
 * Instructions each program retires at a scale: the difference between two deterministic (icount) boots, with it and
 * without. They depend on the ELF and the guest alone, so they are counted once and kept.
 */
async function instructionCounts(
  boot: Boot,
  elf: string,
  scale: number,
  say: Say,
): Promise<ReadonlyMap<string, number>> {
  const key = createHash("sha256")
    .update(await readFile(elf))
    .update(boot.initrd)
    .update(boot.kernel)
    .update(String(scale));
  const path = join(benchCache, `counts-${key.digest("hex").slice(0, 16)}.json`);
  const kept = await readFile(path, "utf8").catch(() => undefined);
  if (kept !== undefined) return new Map(Object.entries(JSON.parse(kept) as Record<string, number>));
  say("counting instructions: an idle boot");
  const idle = (await bootHere(boot, "true", "icount")).stats.instructions;
  const counts: Record<string, number> = {};
  for (const [index, name] of KERNELS.entries()) {
    say(`counting instructions: ${name}`);
    const { stats } = await bootHere(boot, `${GUEST_PATH} ${scale} ${index + 1}`, "icount");
    counts[name] = stats.instructions - idle;
  }
  await writeFile(`${path}.part`, JSON.stringify(counts));
  await rename(`${path}.part`, path);
  return new Map(Object.entries(counts));
}

/** Runs all programs and returns the report. */
export async function benchKernels(guests: Guests, series: Series, scale: number, say: Say): Promise<string> {
  const elf = await buildKernels();
  const initrd = await addToInitrd(guests.initrd(series), elf);
  const boot: Boot = { kernel: guests.kernel(series), initrd, append: APPEND };
  const expected = await checksums(elf, scale);
  const counts = await instructionCounts(boot, elf, scale, say);
  say(`running the programs in the guest, scale ${scale}`);
  const guest = new Marks();
  await bootHere(boot, `${GUEST_PATH} ${scale}`, "host", { onLine: guest.line });
  const rows = [["program", "M insns", "CPU s guest", "MIPS", "CPU s native", "times native"]];
  const mips = new Map<KernelName, number>();
  const slower = new Map<KernelName, number>();
  for (const name of KERNELS) {
    const { seconds, checksum } = span(guest, name, "in the guest");
    const want = span(expected, name, "natively").checksum;
    if (checksum !== want) throw new BenchError(`${name} computed ${checksum} in the guest and ${want} natively`);
    say(`running ${name} natively`);
    const nativeSeconds = await native(elf, name, scale);
    const instructions = counts.get(name) ?? Number.NaN;
    mips.set(name, instructions / seconds / 1e6);
    slower.set(name, seconds / nativeSeconds);
    const cells = [instructions / 1e6, seconds, instructions / seconds / 1e6, nativeSeconds, seconds / nativeSeconds];
    rows.push([name, ...cells.map((value, index) => value.toFixed([1, 2, 1, 4, 1][index]))]);
  }
  const of = (values: ReadonlyMap<KernelName, number>) =>
    geomean(ELEVEN.map((name) => values.get(name) ?? Number.NaN)).toFixed(1);
  return `Programs in the guest (Debian ${series}) and natively, scale ${scale}\n${table(rows)}\ngeomean of the 11: ${of(mips)} MIPS, ${of(slower)} times native\n`;
}
