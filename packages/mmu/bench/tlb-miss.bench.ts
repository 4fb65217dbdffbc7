/**
 * What a TLB miss costs through SPTEs, against the same walk straight over memslots: CPU time per translation, best of several rounds. Each of the two has
 * a process of its own, in turns, so that the engine compiles it for itself.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { FrameArena } from "../src/arena.js";
import { Access, Licence, Mmu } from "../src/index.js";
import { MemslotMmu } from "./memslot-level.js";

const PAGE = 4096;
const PAGES = 4096;
const TABLES = 16;
const FIRST = 64;
/** Guest frames from one page of the bench to the next: 16 spreads them over 256 MiB and more. */
const STRIDES = [1, 16];
const TURNS = 9;

const CONTROLS = { cr0: 0x80010001, cr3Lo: 0x1000, cr3Hi: 0, cr4: 0xa0, efer: 0xd00, pkru: 0 };
const CASES = [
  ["user read", Access.User, false],
  ["user write", Access.Write | Access.User, false],
  ["supervisor fetch", Access.Fetch, false],
  ["user read, a page is watched", Access.User, true],
] as const;

function best(round: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 12; i++) {
    const start = process.cpuUsage();
    for (let r = 0; r < 30; r++) round();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, ((user + system) * 1000) / (30 * PAGES));
  }
  return least;
}

function measure(kind: string, stride: number): number[] {
  const memory = new WebAssembly.Memory({ initial: 8192, maximum: 8192 });
  const size = 400 << 20;
  let mmu: Mmu | MemslotMmu;
  let frameOf: (gfn: number) => number;
  let watch: () => void;
  if (kind === "tdp") {
    const tdp = new Mmu({ memory, arenaStart: PAGE, arenaEnd: 8192 * 65536 });
    tdp.setMemslot({ slot: 0, gpa: 0, size });
    frameOf = (gfn) => tdp.frameOf(gfn);
    watch = () => tdp.withhold(2, Licence.Write);
    mmu = tdp;
  } else {
    const plain = new MemslotMmu(new FrameArena(memory, PAGE, 8192 * 65536));
    plain.slots.set({ slot: 0, gpa: 0, size });
    frameOf = (gfn) => plain.slots.touch(plain.slots.find(gfn) as never, gfn) * PAGE;
    watch = () => plain.views.at(0).watches.set(2, Licence.Write);
    mmu = plain;
  }
  const words = new Uint32Array(memory.buffer);
  const entry = (gfn: number, index: number, value: number): void => {
    words[frameOf(gfn) / 4 + index * 2] = value;
  };
  entry(1, 0, 0x2007);
  entry(2, 0, 0x3007);
  for (let table = 0; table < PAGES / 512; table++) {
    entry(3, table, ((TABLES + table) * PAGE) | 7);
    for (let i = 0; i < 512; i++) entry(TABLES + table, i, ((FIRST + (table * 512 + i) * stride) * PAGE) | 7);
  }
  const order = Uint32Array.from({ length: PAGES }, (_, i) => ((i * 2654435761) >>> 0) % PAGES);
  let sink = 0;
  const times = CASES.map(([, access, watched]) => {
    if (watched) watch();
    return best(() => {
      for (let i = 0; i < PAGES; i++) {
        sink = (sink + mmu.translate(CONTROLS, (order[i] as number) * PAGE, 0, access) + mmu.translation.host) | 0;
      }
    });
  });
  if (Number.isNaN(sink)) throw new Error("the walks returned no numbers");
  return times;
}

const [kind, stride] = process.argv.slice(2);
if (kind !== undefined) {
  console.log(JSON.stringify(measure(kind, Number(stride))));
} else {
  const run = (what: string, by: number): number[] => {
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), what, `${by}`], { encoding: "utf8" });
    if (child.status !== 0) throw new Error(child.stderr);
    return JSON.parse(child.stdout);
  };
  const least = (a: number[], b: number[]): number[] => a.map((ns, i) => Math.min(ns, b[i] ?? ns));
  console.log(`${"TLB miss".padEnd(44)}${"memslots".padStart(12)}${"SPTEs".padStart(12)}${"ratio".padStart(8)}`);
  for (const by of STRIDES) {
    let plain: number[] = [];
    let tdp: number[] = [];
    for (let turn = 0; turn < TURNS; turn++) {
      plain = least(run("memslots", by), plain);
      tdp = least(run("tdp", by), tdp);
    }
    for (const [i, [name]] of CASES.entries()) {
      const [was, is] = [plain[i] ?? 0, tdp[i] ?? 0];
      const label = `${name}, ${(by * PAGES * PAGE) >> 20} MiB`.padEnd(44);
      console.log(
        `${label}${was.toFixed(1).padStart(9)} ns${is.toFixed(1).padStart(9)} ns${(is / was).toFixed(2).padStart(8)}`,
      );
    }
  }
}
