/**
 * How fast memory becomes a TD's: TDH.MEM.PAGE.ADD with all of each page measured (sixteen TDH.MR.EXTEND), and TDG.MEM.PAGE.ACCEPT of pages that
 * TDH.MEM.PAGE.AUG has brought. Beside them SHA-384 alone over as many bytes as the measurement hashes. Prints CPU time and GB/s (10^9 bytes of pages).
 * `pnpm --filter @vm/tdx bench`, or after it `node .cache/bench/add-accept.bench.js --mib 2048`; 256 MiB unless said otherwise, multiples of 2.
 */
import { parseArgs } from "node:util";
import { TdGuest } from "../src/guest/td-guest.js";
import { bringUpModule } from "../src/kvm/bring-up.js";
import { runningSha384 } from "../src/measure/running-sha384.js";
import { Gpr } from "../src/module/gpr.js";
import { TdxModule } from "../src/module/module.js";
import { ReportPlatform } from "../src/report/platform.js";
import { FakeCpu } from "../test/guest/fixture.js";
import { newHost, newTd } from "../test/kvm/fixture.js";
import { MIB, PAGE } from "../test/kvm/memory.js";

const GIB = 2 ** 30;
const { values } = parseArgs({ options: { mib: { type: "string", default: "256" } } });
const mib = Number(values.mib);
if (!Number.isInteger(mib) || mib < 2 || mib % 2 !== 0) throw new RangeError(`--mib ${values.mib}: a multiple of 2`);
const size = mib * MIB;
/** The host's frames, the source of what is added, pages to be added and to be accepted, tables, and at the end the PAMT. */
const SOURCE = 64 * MIB;
const ADDED_PAGES = SOURCE + 2 * MIB;
const ACCEPTED_PAGES = ADDED_PAGES + size;
const TABLES = ACCEPTED_PAGES + size;
const PAMTS = TABLES + size / 128 + 16 * MIB;
const END = Math.ceil((PAMTS + 64 * MIB + size / 64) / GIB) * GIB;
/** Where pages are accepted. */
const ACCEPTED = 512 * GIB;
const CHUNK = 256;
const ACCEPT_LEAF = 6n;
/** Bytes that are hashed for a page: its own, a block of 128 for it and for each chunk. */
const HASHED = PAGE + 128 * (1 + PAGE / CHUNK);

/** Only what is touched is there: pages of the same remainder share their bytes, as nobody here looks at them. */
const store = new Uint8Array(64 * MIB);
const memory = {
  page: (hpa: number) => store.subarray(hpa % store.length, (hpa % store.length) + PAGE),
};

const small = newHost();
const { platform, cpus, frames, lockdep } = small;
const large = { ...platform, memory, cmrs: [{ base: MIB, size: END - MIB }] };
const module = new TdxModule(large);
const host = bringUpModule({
  module,
  memory,
  pages: frames,
  allocContiguous: () => PAMTS,
  memoryRanges: large.cmrs,
  processors: platform.processors,
  privateHkids: platform.privateHkids,
  physBits: module.state.hkidShift,
  supportedXfam: 0xe7n,
  lockdep,
});
const td = newTd({ ...small, module, host, platform: large, cpus });
await td.init();
const { vcpu } = await td.addVcpu();
const tdr = td.vm.tdr as number;
const { seamcalls } = host;
let nextTable = TABLES;

function good(what: string, status: bigint): void {
  if (status !== 0n) throw new Error(`${what}: 0x${status.toString(16)}`);
}

/** Tables for `size` bytes from `gpa` on. */
function addTables(gpa: number): void {
  for (let level = 3; level > 0; level--)
    for (let at = gpa; at < gpa + size; at += PAGE * 512 ** level, nextTable += PAGE)
      good("TDH.MEM.SEPT.ADD", seamcalls.memSeptAdd(0, tdr, at, level, nextTable));
}

function measure(name: string, bytes: number, body: () => void): void {
  const start = process.cpuUsage();
  body();
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  console.log(`${name}: ${mib} MiB in ${seconds.toFixed(2)} s of CPU time, ${(bytes / 1e9 / seconds).toFixed(4)} GB/s`);
}

measure("SHA-384 alone  ", size, () => {
  const hash = runningSha384();
  const page = store.subarray(0, PAGE);
  const blocks = new Uint8Array(HASHED - PAGE);
  for (let at = 0; at < size; at += PAGE) {
    hash.update(page);
    hash.update(blocks);
  }
  hash.digest();
});

addTables(0);
measure("PAGE.ADD+EXTEND", size, () => {
  for (let gpa = 0; gpa < size; gpa += PAGE) {
    good("TDH.MEM.PAGE.ADD", seamcalls.memPageAdd(0, tdr, gpa, ADDED_PAGES + gpa, SOURCE));
    for (let at = 0; at < PAGE; at += CHUNK) good("TDH.MR.EXTEND", seamcalls.mrExtend(0, tdr, gpa + at));
  }
});

await td.finalize();
const entered = module.state.vcpus.get(vcpu.tdvpr as number);
if (entered === undefined) throw new Error("the TD has no vCPU");
const cpu = new FakeCpu();
const guest = new TdGuest(entered, cpu, module.state, {
  sharedPage: () => ({ suppressVe: true }),
  reports: new ReportPlatform({ secret: new Uint8Array(32) }),
});
addTables(ACCEPTED);
measure("PAGE.AUG       ", size, () => {
  for (let at = 0; at < size; at += PAGE)
    good("TDH.MEM.PAGE.AUG", seamcalls.memPageAug(0, tdr, ACCEPTED + at, 0, ACCEPTED_PAGES + at));
});
measure("PAGE.ACCEPT    ", size, () => {
  for (let at = 0; at < size; at += PAGE) {
    cpu.gpr.set(Gpr.Rax, ACCEPT_LEAF);
    cpu.gpr.set(Gpr.Rcx, BigInt(ACCEPTED + at));
    guest.tdcall();
    good("TDG.MEM.PAGE.ACCEPT", cpu.gpr.get(Gpr.Rax));
  }
});
