/**
 * Page walks of a 4-level address space over 4096 distinct pages, compared with the same walk written naively in BigInt
 * and with a TLB hit's cost (one dependent array load). Prints CPU time per walk, best of several rounds, and the ratios.
 */
import { Access, Mmu } from "../src/index.js";
import { referenceWalk } from "../test/reference.js";

const PAGE = 4096;
const PAGES = 4096;
const ROUNDS = 15;

const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024 });
const mmu = new Mmu({ memory, arenaStart: PAGE, arenaEnd: 1024 * 65536 });
mmu.setMemslot({ slot: 0, gpa: 0, size: 32 << 20 });
const entry = (gpa: number, value: number): boolean => mmu.writeU32(gpa, value);
entry(0x1000, 0x2007);
entry(0x2000, 0x3007);
for (let table = 0; table < PAGES / 512; table++) {
  entry(0x3000 + table * 8, ((16 + table) * PAGE) | 7);
  for (let i = 0; i < 512; i++) entry((16 + table) * PAGE + i * 8, ((64 + table * 512 + i) * PAGE) | 7);
}
const controls = { cr0: 0x80010001, cr3Lo: 0x1000, cr3Hi: 0, cr4: 0xa0, efer: 0xd00, pkru: 0 };
/** Every page once, in an order that no prefetcher follows. */
const order = Uint32Array.from({ length: PAGES }, (_, i) => ((i * 2654435761) >>> 0) % PAGES);
const loads = Uint32Array.from({ length: PAGES }, (_, i) => (i * 1103515245 + 12345) % PAGES);

function best(repeat: number, round: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.cpuUsage();
    for (let r = 0; r < repeat; r++) round();
    const { user, system } = process.cpuUsage(start);
    least = Math.min(least, ((user + system) * 1000) / (repeat * PAGES));
  }
  return least;
}

let sink = 0;
const load = best(200, () => {
  let last = 0;
  for (let i = 0; i < PAGES; i++) last = (loads[(i + last) & (PAGES - 1)] as number) & 1;
  sink = last;
});
const walk = (access: number) => () => {
  let sum = 0;
  for (let i = 0; i < PAGES; i++) {
    sum = (sum + mmu.translate(controls, (order[i] as number) * PAGE, 0, access) + mmu.translation.gfn) | 0;
  }
  sink = sum;
};
const reads = best(50, walk(Access.User));
const writes = best(50, walk(Access.Write | Access.User));
const fetches = best(50, walk(Access.Fetch));
mmu.withhold(1, 1);
const watched = best(50, walk(Access.User));
mmu.release(1, 1);
const request = { kind: "read", mode: "user" } as const;
const read = (gpa: bigint): bigint => BigInt(mmu.readU32(Number(gpa))) | (BigInt(mmu.readU32(Number(gpa) + 4)) << 32n);
const naive = best(1, () => {
  for (const page of order) sink += referenceWalk(read, controls, BigInt(page * PAGE), request, 40).fault ?? 0;
});

const row = (name: string, ns: number): string =>
  `${name.padEnd(34)}${ns.toFixed(1).padStart(9)} ns${(naive / ns).toFixed(1).padStart(9)}x`;
console.log(`${"".padEnd(34)}${"per walk".padStart(12)}${"vs BigInt".padStart(10)}`);
console.log(row("BigInt reference", naive));
console.log(row("translate, user read", reads));
console.log(row("translate, user write", writes));
console.log(row("translate, supervisor fetch", fetches));
console.log(row("translate, some page is watched", watched));
console.log(row("one dependent array load", load));
if (Number.isNaN(sink)) throw new Error("the walks returned no numbers");
