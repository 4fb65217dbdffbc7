import type { Operands, Result } from "../host.js";
import { HKIDS, SCRATCH } from "../host.js";
import { Tdh } from "../td-host.js";
import * as actions from "./actions.js";
import type { ModelHost } from "./model-host.js";
import { ModelTd } from "./model-td.js";

const VCPU_PAGES = 6;
const CONTROL_PAGES = 6;
/** KVM tries again when a leaf ends with one of these. */
const BUSY = new Set(["OPERAND_BUSY", "PREVIOUS_TLB_EPOCH_BUSY"]);

/** A TD whose life is one schedule. */
export class Life {
  td: ModelTd;
  /** What the steps ended with. */
  readonly statuses: string[] = [];

  constructor(readonly host: ModelHost) {
    this.td = new ModelTd(0, 0, 0);
  }

  #page(): number {
    const page = [...this.host.pool][0];
    if (page === undefined) throw new RangeError("the host has no page left");
    return page;
  }

  /** A call that may end with anything. */
  any(leaf: number, operands: Operands | undefined, lp = 0): Result {
    const result = this.host.call(leaf, operands, { lp });
    this.statuses.push(`${leaf}:${result.text}`);
    return result;
  }

  /** INITIALIZED, with two vCPUs. */
  begin(): this {
    const { host } = this;
    const tdr = this.#page();
    host.must(Tdh.MngCreate, { rcx: tdr, rdx: HKIDS.first + 1 });
    host.give(tdr);
    this.td = new ModelTd(tdr, HKIDS.first + 1, (host.nextTag++ % 250) + 1);
    host.tds.push(this.td);
    host.eachPackage((lp) => host.must(Tdh.MngKeyConfig, { rcx: tdr }, { lp }));
    for (let i = 0; i < CONTROL_PAGES; i++) {
      const page = this.#page();
      host.must(Tdh.MngAddCx, { rcx: page, rdx: tdr });
      host.give(page);
      this.td.tdcx.push(page);
    }
    actions.prepare(host, this.td);
    while (host.module.state.tds.get(tdr)?.opState === 0) actions.prepare(host, this.td);
    for (const lp of [0, 1]) this.#addVcpu(lp);
    host.checkStates();
    return this;
  }

  #addVcpu(lp: number): void {
    const { host, td } = this;
    const pages: number[] = [];
    for (let i = 0; i < VCPU_PAGES; i++) {
      const page = this.#page();
      if (i === 0) host.must(Tdh.VpCreate, { rcx: page, rdx: td.tdr });
      else host.must(Tdh.VpAddCx, { rcx: page, rdx: pages[0] ?? 0 });
      host.give(page);
      pages.push(page);
    }
    host.must(Tdh.VpInit, { rcx: pages[0] ?? 0 }, { lp });
    td.vps.push({ tdvpr: pages[0] ?? 0, pages, initialised: true });
  }

  runnable(): this {
    this.begin().addTables();
    this.host.must(Tdh.MrFinalize, { rcx: this.td.tdr });
    this.host.checkStates();
    return this;
  }

  addTables(): void {
    for (const level of [3, 2, 1]) {
      const page = this.#page();
      if (this.any(Tdh.SeptAdd, { rcx: level, rdx: this.td.tdr, r8: page }).status !== 0n) continue;
      this.host.give(page);
      this.td.tables.set(`${level}:0`, page);
    }
  }

  addPage(gpa: number): void {
    const page = this.#page();
    this.host.page(SCRATCH).fill(3);
    if (this.any(Tdh.PageAdd, { rcx: gpa, rdx: this.td.tdr, r8: page, r9: SCRATCH }).status !== 0n) return;
    this.host.give(page);
    this.td.mappings.set(gpa, { hpa: page, pending: false, blocked: false, tag: 3 });
  }

  augPage(gpa: number): void {
    const page = this.#page();
    if (this.any(Tdh.PageAug, { rcx: gpa, rdx: this.td.tdr, r8: page }).status !== 0n) return;
    this.host.give(page);
    this.td.mappings.set(gpa, { hpa: page, pending: true, blocked: false, tag: 0 });
  }

  /** AUG, and ACCEPT by the guest of vCPU 0. */
  acceptPage(gpa: number): void {
    this.augPage(gpa);
    const { vcpu, cpu } = this.vcpu(0);
    this.host.accept(this.td, vcpu, cpu, gpa);
    this.host.assert(this.td.mappings.get(gpa)?.pending === false, "states", "the page was not accepted");
  }

  removePage(gpa: number): void {
    this.#sync(gpa);
    if (actions.remove(this.host, this.td, gpa)) this.statuses.push("removed");
  }

  /** What BLOCK did, for the model. */
  #sync(gpa: number): void {
    const mapping = this.td.mappings.get(gpa);
    const entry = this.host.module.state.tds.get(this.td.tdr)?.sept?.find(gpa, 0);
    if (mapping !== undefined && entry?.rights === 0 && !mapping.pending) mapping.blocked = true;
  }

  vcpu(index: number) {
    const vcpu = this.host.vcpu(this.td.vps[index]?.tdvpr ?? -1);
    const cpu = this.host.modelCpus.get(vcpu);
    if (cpu === undefined) throw new Error(`vCPU ${index} has no processor`);
    return { vcpu, cpu };
  }

  enter(index: number): void {
    this.any(Tdh.VpEnter, { rcx: this.td.vps[index]?.tdvpr ?? 0 }, index);
  }

  /** The guest of a vCPU that runs touches a page. */
  touch(index: number, gpa: number): void {
    const { vcpu, cpu } = this.vcpu(index);
    this.#sync(gpa);
    this.host.access(this.td, vcpu, cpu, gpa);
  }

  /** BLOCK, TRACK or REMOVE. False: somebody was in the way. */
  zapStep(leaf: number, gpa: number): boolean {
    if (leaf === Tdh.PageRemove) {
      this.host.assert(actions.remove(this.host, this.td, gpa), "I8", "REMOVE failed after everybody was out");
      return true;
    }
    const rcx = leaf === Tdh.Track ? this.td.tdr : gpa;
    const { text, status } = this.host.call(leaf, { rcx, rdx: this.td.tdr }, { lp: 2 });
    const mapping = this.td.mappings.get(gpa);
    if (status === 0n && leaf === Tdh.RangeBlock && mapping !== undefined) mapping.blocked = true;
    this.host.assert(status === 0n || BUSY.has(text.split("|")[0] ?? ""), "I8", `leaf ${leaf} ended with ${text}`);
    return status === 0n;
  }

  /** Holds the lock of the secure EPT as those do who add to it. */
  holdTree(): () => void {
    const td = this.host.module.state.tds.get(this.td.tdr);
    if (td === undefined) throw new Error("the TD is gone");
    return this.host.module.hold(td.septLock, "shared");
  }

  flush(): void {
    for (const [lp, { tdvpr }] of this.td.vps.entries()) this.any(Tdh.VpFlush, { rcx: tdvpr }, lp);
  }

  /** Whatever is left of the TD goes. */
  end(): void {
    const { host, td } = this;
    for (let i = 0; host.tds.includes(td); i++) {
      host.checkStates();
      if (td.lifecycle < 2)
        for (const { tdvpr } of td.vps) for (const lp of [0, 1, 2]) host.call(Tdh.VpFlush, { rcx: tdvpr }, { lp });
      actions.tearDown(host, td);
      host.assert(i < 200, "I8", "the TD does not end");
    }
  }
}

export const newLife = (host: ModelHost): Life => new Life(host);
