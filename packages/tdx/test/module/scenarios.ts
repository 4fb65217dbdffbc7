import { TdGuest } from "../../src/guest/td-guest.js";
import { Gpr } from "../../src/module/gpr.js";
import { SeptState } from "../../src/module/sept-state.js";
import { ReportPlatform } from "../../src/report/platform.js";
import { GIB, Host, type HostOptions, MIB, MODULE_HKID, SCRATCH } from "./host.js";
import { type Params, TdHost, Tdh } from "./td-host.js";

const NO_FIELD = 2n ** 64n - 1n;
const Sys = {
  KeyConfig: 31,
  Info: 32,
  Init: 33,
  Rd: 34,
  LpInit: 35,
  TdmrInit: 36,
  RdAll: 37,
  Config: 45,
  Shutdown: 52,
  Update: 53,
};

/** Called with every status that a SEAMCALL or TDCALL ended with. */
export type Seen = (status: bigint) => void;

/** Where statuses come from: hosts and TDs of any kind, all of them watched. */
class Stage {
  constructor(readonly seen: Seen) {}

  host(options: HostOptions = {}): Host {
    const host = new Host(options);
    host.module.onTrace = ({ status }) => this.seen(status);
    return host;
  }

  ready(options: HostOptions = {}): Host {
    return this.host(options).bringUp();
  }

  td(params: Params = {}): TdHost {
    return new TdHost(this.ready()).runnable(params);
  }

  building(params: Params = {}): TdHost {
    return new TdHost(this.ready()).build(params).addVcpu();
  }

  /** TDCALL by the guest of vCPU 0. */
  tdcall(td: TdHost, leaf: number, registers: Partial<Record<"rcx" | "rdx" | "r8" | "r9", bigint>> = {}): void {
    const cpu = td.cpu();
    const reports = new ReportPlatform({ secret: td.host.platform.secret, cpuSvn: new Uint8Array(16) });
    const guest = new TdGuest(td.vcpu(), cpu, td.host.module.state, {
      sharedPage: () => ({ suppressVe: false }),
      reports,
    });
    guest.onTrace = ({ status }) => this.seen(status);
    cpu.efer = 0xd00n;
    cpu.gpr.set(Gpr.Rax, BigInt(leaf));
    cpu.gpr.set(Gpr.Rcx, registers.rcx ?? 0n);
    cpu.gpr.set(Gpr.Rdx, registers.rdx ?? 0n);
    cpu.gpr.set(Gpr.R8, registers.r8 ?? 0n);
    cpu.gpr.set(Gpr.R9, registers.r9 ?? 0n);
    guest.tdcall();
    guest.takeExit();
  }
}

function system(stage: Stage): void {
  const host = stage.host();
  host.call(Sys.LpInit);
  host.call(Sys.Update);
  host.call(Sys.Rd);
  host.call(Tdh.MngCreate);
  host.must(Sys.Init);
  host.call(Sys.Init);
  host.call(Sys.KeyConfig);
  for (const lp of host.platform.processors.keys()) host.must(Sys.LpInit, {}, { lp });
  host.call(Sys.LpInit);
  host.call(Sys.Update);
  const config = (change?: (words: BigUint64Array) => void) =>
    host.call(Sys.Config, { rcx: host.writeTdmrInfo(change), rdx: 1, r8: MODULE_HKID });
  const set = (index: number, value: bigint) => (words: BigUint64Array) => words.fill(value, index, index + 1);
  config(set(0, 1n));
  config(set(9, 1n));
  config((words) => words.set([0n, 0x1000n], 12));
  config(set(7, 0n));
  config(set(6, 0x300_0000n));
  config(set(6, 0x8000_0000n));
  config((words) => {
    words[0] = BigInt(4 * GIB);
    words.fill(0n, 8);
  });
  host.writeTdmrInfo();
  host.view(SCRATCH + 512).setBigUint64(8, BigInt(SCRATCH), true);
  host.call(Sys.Config, { rcx: SCRATCH + 512, rdx: 2, r8: MODULE_HKID });
  config();
  config();
  const release = host.module.hold(host.module.state.globalLock, "exclusive");
  host.call(Sys.KeyConfig);
  release();
  host.must(Sys.KeyConfig);
  host.call(Sys.KeyConfig);
  const ready = stage.ready();
  ready.call(Sys.TdmrInit, { rcx: 0 });
  ready.call(Sys.Rd, { rdx: NO_FIELD });
  ready.call(Sys.RdAll, { rdx: SCRATCH, r8: NO_FIELD });
  ready.call(Sys.Shutdown);
  ready.call(Tdh.MngCreate);
}

function keys(stage: Stage): void {
  let entropy = true;
  const host = stage.ready({ random: () => entropy });
  host.call(Tdh.MngCreate, { rcx: GIB, rdx: 17 });
  host.call(Tdh.MngCreate, { rcx: SCRATCH, rdx: MODULE_HKID });
  host.call(Tdh.MngCreate, { rcx: SCRATCH, rdx: 1 });
  host.call(Tdh.MngKeyConfig, { rcx: SCRATCH });
  const td = new TdHost(host).create();
  entropy = false;
  host.call(Tdh.MngCreate, { rcx: SCRATCH, rdx: 18 });
  host.call(Tdh.MngKeyConfig, { rcx: td.tdr });
  entropy = true;
  host.call(Tdh.MngAddCx, { rcx: SCRATCH, rdx: td.tdr });
  td.configureKeys();
  host.call(Tdh.MngInit, { rcx: td.tdr });
  td.addControlPages(9);
  host.call(Tdh.MngAddCx, { rcx: SCRATCH, rdx: td.tdr });
  td.td.fatal = true;
  host.call(Tdh.MngInit, { rcx: td.tdr });
}

function teardown(stage: Stage): void {
  let interrupts = 0;
  const td = new TdHost(stage.ready({ interruptPending: () => interrupts-- > 0 })).runnable();
  const { host, tdr } = td;
  host.call(Tdh.CacheWb, { rcx: 0 });
  host.call(Tdh.CacheWb, { rcx: 1 });
  host.call(Tdh.VpFlushDone, { rcx: tdr });
  host.call(Tdh.KeyFreeId, { rcx: tdr });
  const rcx = td.vps[0]?.tdvpr ?? 0;
  host.must(Tdh.VpFlush, { rcx });
  host.call(Tdh.VpFlush, { rcx });
  host.must(Tdh.VpFlushDone, { rcx: tdr });
  host.call(Tdh.KeyFreeId, { rcx: tdr });
  interrupts = 1;
  host.call(Tdh.CacheWb, { rcx: 0 });
  host.eachPackage((lp) => host.must(Tdh.CacheWb, { rcx: 0 }, { lp }));
  host.must(Tdh.KeyFreeId, { rcx: tdr });
  host.call(Tdh.PageReclaim, { rcx: tdr });
}

function vcpus(stage: Stage): void {
  const td = stage.building({ maxVcpus: 2 });
  const { host, tdr } = td;
  const again = (options: Parameters<TdHost["addVcpu"]>[0]) => {
    const [tdvpr = 0, ...tdcx] = Array.from({ length: 6 }, () => host.alloc());
    host.call(Tdh.VpCreate, { rcx: tdvpr, rdx: tdr });
    for (const page of tdcx) host.call(Tdh.VpAddCx, { rcx: page, rdx: tdvpr });
    host.call(Tdh.VpInit, { rcx: tdvpr, r8: options?.apicId ?? 0 }, { version: options?.version ?? 0 });
  };
  again({ version: 1, apicId: 3 });
  again({});
  const wide = stage.building().addVcpu({ version: 1, apicId: 9 });
  wide.host.call(Tdh.VpCreate, { rcx: wide.host.alloc(), rdx: wide.tdr });
  const twice = wide.host.alloc();
  wide.host.must(Tdh.VpCreate, { rcx: twice, rdx: wide.tdr });
  for (let i = 0; i < 5; i++) wide.host.must(Tdh.VpAddCx, { rcx: wide.host.alloc(), rdx: twice });
  wide.host.call(Tdh.VpInit, { rcx: twice, r8: 9 }, { version: 1 });
  const empty = new TdHost(stage.ready()).build();
  empty.host.call(Tdh.MrFinalize, { rcx: empty.tdr });
  const running = stage.td();
  running.enter(0, 1);
  running.host.tsc -= 1_000_000n;
  running.enter();
  running.host.tsc += 2_000_000n;
  running.cpu().script.push(() => ({ reason: "host-priority-busy-timeout" }));
  running.enter();
  running.cpu().script.push(() => ({ reason: "triple-fault" }));
  running.enter();
  running.enter();
}

function memory(stage: Stage): void {
  let pending = false;
  const td = new TdHost(stage.ready({ interruptPending: () => pending })).build().addVcpu();
  const { host, tdr } = td;
  const on = (leaf: number, gpa: number, r8 = 0) => host.call(leaf, { rcx: gpa, rdx: tdr, r8 });
  on(Tdh.PageAug, 0);
  on(Tdh.MrExtend, 0);
  on(Tdh.MemRd, 0);
  td.addPage(0).addTables(2 * MIB, 2);
  const large = host.alloc(2 * MIB);
  on(Tdh.PageAug, 2 * MIB + 1, large);
  td.finalize();
  host.call(Tdh.MrFinalize, { rcx: tdr });
  const lock = host.module.hold(td.td.septLock, "exclusive");
  on(Tdh.SeptRd, 0);
  lock();
  on(Tdh.PageRemove, 0);
  on(Tdh.RangeUnblock, 0);
  on(Tdh.RangeBlock, 0);
  on(Tdh.RangeBlock, 0);
  on(Tdh.PageRemove, 0);
  td.cpu().script.push(() => {
    host.call(Tdh.Track, { rcx: tdr }, { lp: 1 });
    host.call(Tdh.Track, { rcx: tdr }, { lp: 1 });
    return { reason: "external-interrupt" };
  });
  td.enter();
  on(Tdh.RangeBlock, 1);
  host.must(Tdh.Track, { rcx: tdr });
  on(Tdh.SeptRemove, 1);
  on(Tdh.PagePromote, 1);
  on(Tdh.RangeBlock, 2 * MIB + 1);
  host.must(Tdh.Track, { rcx: tdr });
  pending = true;
  on(Tdh.PageDemote, 2 * MIB + 1, host.alloc());
}

function fields(stage: Stage): void {
  const td = stage.td({ attributes: 1n });
  const { host, tdr } = td;
  const timeout = 0x9110_0003_0000_0011n;
  host.call(Tdh.MngRd, { rcx: tdr, rdx: 1n << 62n });
  host.call(Tdh.MngWr, { rcx: tdr, rdx: 0x1110_0003_0000_0000n, r8: 0, r9: 1 });
  host.call(Tdh.MngRd, { rcx: tdr, rdx: NO_FIELD }, { version: 1 });
  host.call(Tdh.MngWr, { rcx: tdr, rdx: timeout, r8: 1, r9: 1 });
  const rcx = td.vps[0]?.tdvpr ?? 0;
  const production = stage.td();
  production.host.call(Tdh.VpRd, { rcx: production.vps[0]?.tdvpr ?? 0, rdx: 0x1000_0003_0000_0000n });
  host.call(Tdh.VpWr, { rcx, rdx: 0x0024_0001_0000_4000n, r8: 1 << 7, r9: 1 << 7 });
  host.call(Tdh.VpWr, { rcx, rdx: 0x0024_0001_0000_0002n, r8: 4096, r9: NO_FIELD });
}

function guests(stage: Stage): void {
  const td = stage.td();
  stage.tdcall(td, 3);
  stage.tdcall(td, 6, { rcx: 0n });
  stage.tdcall(td, 6, { rcx: 1n });
  td.host.page(td.pages.get(0) ?? 0).fill(0);
  stage.tdcall(td, 22, { rcx: 0n });
  const report = new ReportPlatform({ secret: td.host.platform.secret, cpuSvn: new Uint8Array(16).fill(1) });
  td.host.page(td.pages.get(0) ?? 0).set(report.create(new Uint8Array(512), new Uint8Array(64)).subarray(0, 256));
  stage.tdcall(td, 22, { rcx: 0n });
  const entry = td.td.sept?.find(0, 0);
  entry?.setState(SeptState.Pending, 0);
  const release = td.host.module.hold(entry ?? td.td.septLock, "exclusive");
  td.host.call(Tdh.SeptRd, { rcx: 0, rdx: td.tdr });
  release();
  stage.tdcall(td, 6, { rcx: 0n });
  stage.tdcall(td, 8, { rdx: 0x1110_0003_0000_0017n, r8: 1n, r9: 1n });
}

/** Reaches every status that can be reached. */
export function playAll(seen: Seen): void {
  const stage = new Stage(seen);
  for (const scenario of [system, keys, teardown, vcpus, memory, fields, guests]) scenario(stage);
}
