import { Gpr } from "../../../src/module/gpr.js";
import { OpState } from "../../../src/module/td.js";
import { NOT_ASSOCIATED } from "../../../src/module/td-vcpu.js";
import { HKIDS, PAGE, SCRATCH } from "../host.js";
import { Tdh } from "../td-host.js";
import type { ModelCpu } from "./model-cpu.js";
import type { ModelHost } from "./model-host.js";
import { ModelTd } from "./model-td.js";

const EPTP = 0x1en;
const hex = (value: number) => `0x${value.toString(16)}`;

function writeParams(host: ModelHost): number {
  host.page(SCRATCH).fill(0);
  const view = host.view(SCRATCH);
  view.setBigUint64(8, 3n, true);
  view.setUint16(16, 3, true);
  view.setBigUint64(24, EPTP, true);
  view.setUint16(40, 40, true);
  return SCRATCH;
}

export function create(host: ModelHost): void {
  const [page, hkid] = [host.somePage(), HKIDS.first + host.random.below(HKIDS.count)];
  const { status } = host.call(Tdh.MngCreate, { rcx: page, rdx: hkid });
  if (status !== 0n) return;
  const taken = host.tds.some((td) => td.hkid === hkid && td.lifecycle < 3) || hkid === HKIDS.first;
  host.assert(!taken, "keys", `key ${hkid} was given twice`);
  host.give(page);
  host.tds.push(new ModelTd(page, hkid, host.nextTag));
  host.nextTag = (host.nextTag % 250) + 1;
}

/** Keys, control pages, MNG.INIT, in whatever order they come. */
export function prepare(host: ModelHost, td: ModelTd): void {
  const isConfigured = td.lifecycle === 1;
  const isComplete = td.tdcx.length >= 6;
  switch (host.random.chance(10) ? host.random.below(3) : isConfigured ? (isComplete ? 1 : 2) : 0) {
    case 0:
      host.call(Tdh.MngKeyConfig, { rcx: td.tdr }, { lp: host.random.pick([0, 2]) });
      return;
    case 1:
      host.call(Tdh.MngInit, { rcx: td.tdr, rdx: writeParams(host) });
      return;
    default: {
      const page = host.somePage();
      if (host.call(Tdh.MngAddCx, { rcx: page, rdx: td.tdr }).status !== 0n) return;
      host.give(page);
      td.tdcx.push(page);
    }
  }
}

export function addVcpu(host: ModelHost, td: ModelTd): void {
  const unfinished = td.vps.find(({ initialised }) => !initialised);
  const page = host.somePage();
  if (unfinished === undefined) {
    if (host.call(Tdh.VpCreate, { rcx: page, rdx: td.tdr }).status !== 0n) return;
    host.give(page);
    td.vps.push({ tdvpr: page, pages: [page], initialised: false });
    return;
  }
  const rcx = unfinished.tdvpr;
  const lp = host.random.below(3);
  if (unfinished.pages.length >= 6 && host.call(Tdh.VpInit, { rcx, rdx: 0 }, { lp }).status === 0n) {
    unfinished.initialised = true;
    return;
  }
  if (host.call(Tdh.VpAddCx, { rcx: page, rdx: rcx }).status !== 0n) return;
  host.give(page);
  unfinished.pages.push(page);
}

export function addTable(host: ModelHost, td: ModelTd): void {
  const missing = [3, 2, 1].find((at) => !td.tables.has(`${at}:0`));
  const level = missing === undefined || host.random.chance(8) ? 1 + host.random.below(3) : missing;
  const page = host.somePage();
  if (host.call(Tdh.SeptAdd, { rcx: level, rdx: td.tdr, r8: page }).status !== 0n) return;
  host.give(page);
  const key = `${level}:0`;
  host.assert(!td.tables.has(key), "I2", `table ${key} was added twice`);
  td.tables.set(key, page);
}

export function addPage(host: ModelHost, td: ModelTd, gpa: number): void {
  const page = host.somePage();
  const content = host.random.below(256);
  host.page(SCRATCH).fill(content);
  if (host.call(Tdh.PageAdd, { rcx: gpa, rdx: td.tdr, r8: page, r9: SCRATCH }).status !== 0n) return;
  host.give(page);
  host.assert(td.opState === OpState.Initialized && !td.mappings.has(gpa), "I5", `PAGE.ADD at ${hex(gpa)} worked`);
  td.mappings.set(gpa, { hpa: page, pending: false, blocked: false, tag: content });
  td.measured.pageAdd(gpa);
}

export function extend(host: ModelHost, td: ModelTd, gpa: number): void {
  const at = gpa + 256 * host.random.below(16);
  if (host.call(Tdh.MrExtend, { rcx: at, rdx: td.tdr }).status !== 0n) return;
  const mapping = td.mappings.get(gpa);
  if (mapping === undefined || mapping.pending || mapping.blocked || td.opState !== OpState.Initialized)
    host.fail("I5", `MR.EXTEND of ${hex(at)} worked`);
  td.measured.extend(at, new Uint8Array(256).fill(mapping.tag));
}

export function finalize(host: ModelHost, td: ModelTd): void {
  // Too early is no fun.
  if (td.mappings.size < 3 && !host.random.chance(20)) return;
  if (host.call(Tdh.MrFinalize, { rcx: td.tdr }).status !== 0n) return;
  const mrtd = host.module.state.tds.get(td.tdr)?.mrtd ?? new Uint8Array();
  host.assert(
    td.measured.digest().every((byte, i) => byte === mrtd[i]),
    "I5",
    "MRTD is not what was added and extended",
  );
}

export function aug(host: ModelHost, td: ModelTd, gpa: number): void {
  const page = host.somePage();
  if (host.call(Tdh.PageAug, { rcx: gpa, rdx: td.tdr, r8: page }).status !== 0n) return;
  host.give(page);
  host.assert(!td.mappings.has(gpa), "I2", `${hex(gpa)} was augmented twice`);
  td.mappings.set(gpa, { hpa: page, pending: true, blocked: false, tag: 0 });
}

export function block(host: ModelHost, td: ModelTd, gpa: number): void {
  const { status } = host.call(Tdh.RangeBlock, { rcx: gpa, rdx: td.tdr });
  const mapping = td.mappings.get(gpa);
  if (status !== 0n) return;
  if (mapping === undefined || mapping.blocked) host.fail("states", `${hex(gpa)} was blocked`);
  mapping.blocked = true;
}

export function unblock(host: ModelHost, td: ModelTd, gpa: number): void {
  if (host.call(Tdh.RangeUnblock, { rcx: gpa, rdx: td.tdr }).status !== 0n) return;
  const mapping = td.mappings.get(gpa);
  if (mapping?.blocked !== true) host.fail("states", `${hex(gpa)} was unblocked`);
  mapping.blocked = false;
}

export function track(host: ModelHost, td: ModelTd): void {
  host.call(Tdh.Track, { rcx: td.tdr });
}

export function remove(host: ModelHost, td: ModelTd, gpa: number): boolean {
  const { status, regs } = host.call(Tdh.PageRemove, { rcx: gpa, rdx: td.tdr });
  if (status !== 0n) return false;
  const mapping = td.mappings.get(gpa);
  if (mapping === undefined) host.fail("states", `${hex(gpa)} was removed and is not there`);
  host.assert(regs[Gpr.Rcx] === BigInt(mapping.hpa), "I2", `PAGE.REMOVE of ${hex(gpa)} gave ${regs[Gpr.Rcx]}`);
  host.assert(mapping.blocked || td.opState !== OpState.Runnable, "I4", `${hex(gpa)} was removed and never blocked`);
  host.checkGone(td, gpa, mapping.hpa);
  td.mappings.delete(gpa);
  host.takeBack(mapping.hpa, td.tag);
  return true;
}

export function relocate(host: ModelHost, td: ModelTd, gpa: number): void {
  const page = host.somePage();
  if (host.call(Tdh.PageRelocate, { rcx: gpa, rdx: td.tdr, r8: page }).status !== 0n) return;
  const mapping = td.mappings.get(gpa);
  if (mapping === undefined) host.fail("states", `${hex(gpa)} was relocated and is not there`);
  host.give(page);
  host.checkGone(td, gpa, mapping.hpa);
  const old = mapping.hpa;
  mapping.hpa = page;
  mapping.blocked = false;
  host.takeBack(old, td.tag);
}

/** What KVM does to take a page away, which has to work while no vCPU runs. */
export function zap(host: ModelHost, td: ModelTd, gpa: number): void {
  const mapping = td.mappings.get(gpa);
  if (mapping === undefined || host.isRunning(td) || td.opState === OpState.Uninitialized || td.lifecycle !== 1) return;
  const must = (leaf: number, rcx: number) => {
    const { text, status } = host.call(leaf, { rcx, rdx: td.tdr });
    host.assert(status === 0n, "I8", `leaf ${leaf} on ${hex(rcx)} ended with ${text} while nothing runs`);
  };
  if (!mapping.blocked) must(Tdh.RangeBlock, gpa);
  mapping.blocked = true;
  must(Tdh.Track, td.tdr);
  host.assert(remove(host, td, gpa), "I8", `PAGE.REMOVE of ${hex(gpa)} failed while nothing runs`);
}

/** What else happens while a vCPU runs: to the pages that it has translations of, mostly. */
function meanwhile(host: ModelHost, td: ModelTd, cpu: ModelCpu, act: (host: ModelHost) => void): void {
  if (cpu.tlb.size === 0 || host.random.chance(2)) act(host);
  else {
    const gpa = host.random.pick([...cpu.tlb.keys()]);
    host.random.pick([block, track, remove, tryZap, tryZap, move])(host, td, gpa);
  }
}

export function enter(host: ModelHost, td: ModelTd, act: (host: ModelHost) => void): void {
  const ready = td.vps.filter(({ initialised }) => initialised);
  if (ready.length === 0 || host.depth > 2) return;
  const { tdvpr } = host.random.pick(ready);
  const vcpu = host.vcpu(tdvpr);
  const cpu = host.modelCpus.get(vcpu);
  if (cpu === undefined) return;
  const lp = host.random.chance(6) ? host.random.below(3) : Math.max(vcpu.associatedLp, 0);
  if (host.module.state.running[lp] !== undefined) return;
  const wasRunning = cpu.running;
  const before = cpu.onRun;
  cpu.onRun = () => {
    host.assert(!wasRunning, "states", "a vCPU was entered twice");
    const steps = host.random.below(12);
    for (let i = 0; i < steps; i++) {
      if (host.random.chance(3)) meanwhile(host, td, cpu, act);
      else host.guestStep(td, vcpu, cpu);
    }
    return host.random.chance(200) ? { reason: "triple-fault" } : { reason: "external-interrupt" };
  };
  host.depth++;
  host.call(Tdh.VpEnter, { rcx: tdvpr }, { lp });
  host.depth--;
  cpu.onRun = before;
}

export function flush(host: ModelHost, td: ModelTd): void {
  const ready = td.vps.filter(({ initialised }) => initialised);
  if (ready.length === 0) return;
  const { tdvpr } = host.random.pick(ready);
  const lp = host.vcpu(tdvpr).associatedLp;
  host.call(Tdh.VpFlush, { rcx: tdvpr }, { lp: host.random.chance(8) || lp < 0 ? host.random.below(3) : lp });
}

/** One step of the end of a TD. */
export function tearDown(host: ModelHost, td: ModelTd): void {
  const { random } = host;
  if (td.lifecycle < 2) {
    const { status } = host.call(Tdh.VpFlushDone, { rcx: td.tdr });
    const left = td.vps.some(({ tdvpr }) => host.vcpu(tdvpr).associatedLp !== NOT_ASSOCIATED);
    host.assert(status !== 0n || !left, "I4", "the key was blocked with vCPUs on processors");
    return;
  }
  if (td.lifecycle === 2) {
    if (random.chance(2)) host.call(Tdh.CacheWb, { rcx: 0 }, { lp: random.pick([0, 2]) });
    else host.call(Tdh.KeyFreeId, { rcx: td.tdr });
    return;
  }
  const pages = td.pages();
  if (pages.length === 0) {
    host.assert(host.call(Tdh.PageReclaim, { rcx: td.tdr }).status === 0n, "I8", "the TDR of an empty TD stays");
    host.tds.splice(host.tds.indexOf(td), 1);
    host.takeBack(td.tdr, -1);
    return;
  }
  host.assert(host.call(Tdh.PageReclaim, { rcx: td.tdr }).status !== 0n, "I7", "the TDR went first");
  const page = random.pick(pages);
  host.assert(host.call(Tdh.PageReclaim, { rcx: page }).status === 0n, "I8", `page ${hex(page)} of a dead TD stays`);
  forget(td, page);
  host.takeBack(page, td.tag);
}

function forget(td: ModelTd, page: number): void {
  const without = (list: number[]) => {
    const at = list.indexOf(page);
    if (at >= 0) list.splice(at, 1);
  };
  without(td.tdcx);
  for (const vp of td.vps) without(vp.pages);
  for (const [key, table] of td.tables) if (table === page) td.tables.delete(key);
  for (const [gpa, { hpa }] of td.mappings) if (hpa === page) td.mappings.delete(gpa);
  if (td.vps.some(({ tdvpr }) => tdvpr === page))
    td.vps.splice(
      0,
      td.vps.length,
      ...td.vps.map((vp) => (vp.tdvpr === page ? { ...vp, tdvpr: -1, initialised: false } : vp)),
    );
}

/** An address that means something: mostly one that is mapped. */
export function someGpa(host: ModelHost, td: ModelTd): number {
  if (td.mappings.size > 0 && !host.random.chance(3)) return host.random.pick([...td.mappings.keys()]);
  return host.random.below(12) * PAGE;
}

/** Takes a page away, or tries to: other vCPUs may be in the way. */
export function tryZap(host: ModelHost, td: ModelTd, gpa: number): void {
  block(host, td, gpa);
  for (let i = host.random.below(3); i > 0; i--) track(host, td);
  if (host.random.chance(5)) unblock(host, td, gpa);
  else remove(host, td, gpa);
}

/** A page is moved as KVM would if it did. */
export function move(host: ModelHost, td: ModelTd, gpa: number): void {
  block(host, td, gpa);
  track(host, td);
  relocate(host, td, gpa);
}

export const isAlive = (td: ModelTd): boolean => td.lifecycle < 2;
