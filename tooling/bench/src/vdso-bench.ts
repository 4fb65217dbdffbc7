/** What a reading of the clock costs through the image of @vm/vdso-timens, in a guest, and what making the image costs here. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Guests } from "@vm/guests";
import { createMachine, type Machine } from "@vm/machine";
import {
  ClockMode,
  fillNamespacePage,
  pageStore,
  TimePage,
  VVAR_ABIS,
  type VvarAbiName,
  vdsoImage,
} from "@vm/vdso-timens";
import { BenchError } from "./errors.js";
import { measure } from "./measure.js";
import { median, table } from "./numbers.js";
import { benchCache } from "./paths.js";
import type { Report } from "./report.js";

const PAGE = 4096;
const CALLS = 200_000;
/** Images made after the first. */
const IMAGES = 50;

/** Pages below an image and the image, with offsets if it is a namespace's. */
interface Mapping {
  readonly bytes: Uint8Array;
  /** Bytes of the pages. */
  readonly pages: number;
  /** Of `clock_gettime`, in the image. */
  readonly function: number;
  /** Of the counter from which its clocks go on, in the pages. */
  readonly cycleLast: number;
}

function mapping(abi: VvarAbiName, namespace: boolean): Mapping {
  const { pages } = VVAR_ABIS[abi];
  const image = vdsoImage({ abi });
  const bytes = new Uint8Array(pages.length * PAGE + image.bytes.length);
  const page = (name: "time" | "timens") => {
    const at = pages.indexOf(name) * PAGE;
    return pageStore(bytes.subarray(at, at + PAGE));
  };
  const zero = { sec: 0, shifted: 0n };
  // The guest's counter counts nanoseconds.
  const scale = { cycleLast: 0n, mult: 256, shift: 8 };
  new TimePage(page(namespace ? "timens" : "time"), VVAR_ABIS[abi]).update({
    ...{ mode: ClockMode.Tsc, scale, rawScale: scale, resolutionNs: 1 },
    ...{ realtime: zero, monotonic: zero, boottime: zero, tai: zero, raw: zero },
    ...{ realtimeCoarse: { sec: 0, nsec: 0 }, monotonicCoarse: { sec: 0, nsec: 0 } },
  });
  const offset = { sec: 1000, nsec: 5 };
  if (namespace) fillNamespacePage(page("time"), VVAR_ABIS[abi], { monotonic: offset, boottime: offset });
  bytes.set(image.bytes, pages.length * PAGE);
  const at = image.symbols.get("__vdso_clock_gettime");
  if (at === undefined) throw new BenchError("the image has no clock_gettime");
  const { clocks, fields } = VVAR_ABIS[abi];
  const cycleLast = pages.indexOf(namespace ? "timens" : "time") * PAGE + clocks + fields.cycleLast;
  return { bytes, pages: pages.length * PAGE, function: at, cycleLast };
}

async function put(machine: Machine, path: string, bytes: Uint8Array): Promise<void> {
  const { status, stderr } = await machine.exec(`cat >${path} && chmod +x ${path}`, { input: bytes });
  if (status !== 0) throw new BenchError(`${path} could not be written in the guest: ${stderr}`);
}

/** Milliseconds of the first image that is made, and the median of more. */
function making(): { first: number; later: number } {
  const times: number[] = [];
  for (let k = 0; k <= IMAGES; k++) {
    const from = performance.now();
    vdsoImage();
    times.push(performance.now() - from);
  }
  return { first: times[0] as number, later: median(times.slice(1)) };
}

/** @throws BenchError where there is no compiler, or the guest fails */
export async function benchVdso(guests: Guests, say: (text: string) => void): Promise<Report> {
  const made = making();
  await mkdir(benchCache, { recursive: true });
  const program = join(benchCache, "vdso");
  const source = fileURLToPath(new URL("../programs/vdso.c", import.meta.url));
  const built = await measure("gcc", ["-O2", "-static", "-s", "-o", program, source]);
  if (built.status !== 0) throw new BenchError(`gcc failed: ${built.stderr.slice(-500)}`);
  say("vdso: a boot, and calls in the guest");
  const [kernel, initrd] = await Promise.all([readFile(guests.kernel("6.1")), readFile(guests.initrd("6.1"))]);
  await using machine = await createMachine({ kernel, initrd, agent: true });
  await put(machine, "/vdso", await readFile(program));
  const rows = [["ns a call", "image", "in a namespace", "system call", "namespace/plain", "system call/image"]];
  const data: Record<string, unknown> = { imageMs: made };
  for (const abi of Object.keys(VVAR_ABIS) as VvarAbiName[]) {
    const [plain, timens] = [mapping(abi, false), mapping(abi, true)];
    await put(machine, "/plain", plain.bytes);
    await put(machine, "/timens", timens.bytes);
    const { status, stdout } = await machine.exec(
      `/vdso /plain ${plain.cycleLast} /timens ${timens.cycleLast} ${plain.pages} ${plain.function} ${CALLS}`,
    );
    if (status !== 0) throw new BenchError(`the guest's program ended with ${status}`);
    const [image = Number.NaN, namespace = Number.NaN, call = Number.NaN] = stdout.trim().split(" ").map(Number);
    data[abi] = { image, namespace, call };
    const figures = [image, namespace, call].map((ns) => ns.toFixed(0));
    rows.push([abi, ...figures, (namespace / image).toFixed(2), (call / image).toFixed(1)]);
  }
  const text = `clock_gettime(CLOCK_MONOTONIC) in a guest, medians of one run\n${table(rows)}\nthe image is made in ${made.later.toFixed(1)} ms, the first in a process in ${made.first.toFixed(1)} ms\n`;
  return { text, data };
}
