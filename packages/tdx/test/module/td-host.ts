import { Gpr } from "../../src/module/gpr.js";
import type { Td } from "../../src/module/td.js";
import type { TdVcpu } from "../../src/module/td-vcpu.js";
import { type Host, PAGE, SCRATCH } from "./host.js";
import type { ScriptedCpu } from "./scripted-cpu.js";

/** Numbers of leaves, as tests say them. */
export const Tdh = {
  VpEnter: 0,
  MngAddCx: 1,
  PageAdd: 2,
  SeptAdd: 3,
  VpAddCx: 4,
  PageRelocate: 5,
  PageAug: 6,
  RangeBlock: 7,
  MngKeyConfig: 8,
  MngCreate: 9,
  VpCreate: 10,
  MngRd: 11,
  MemRd: 12,
  MngWr: 13,
  MemWr: 14,
  PageDemote: 15,
  MrExtend: 16,
  MrFinalize: 17,
  VpFlush: 18,
  VpFlushDone: 19,
  KeyFreeId: 20,
  MngInit: 21,
  VpInit: 22,
  PagePromote: 23,
  PageRdMd: 24,
  SeptRd: 25,
  VpRd: 26,
  KeyReclaimId: 27,
  PageReclaim: 28,
  PageRemove: 29,
  SeptRemove: 30,
  Track: 38,
  RangeUnblock: 39,
  CacheWb: 40,
  PageWbInvd: 41,
  VpWr: 43,
} as const;

/** Offsets of TD_PARAMS that tests change. */
export interface Params {
  readonly attributes?: bigint;
  readonly xfam?: bigint;
  readonly maxVcpus?: number;
  readonly eptp?: bigint;
  readonly configFlags?: bigint;
  readonly tscFrequency?: number;
}

/** What a host knows of a TD that it builds. */
export class TdHost {
  readonly tdr: number;
  readonly tdcx: number[] = [];
  readonly tables: number[] = [];
  /** By guest physical address. */
  readonly pages = new Map<number, number>();
  readonly vps: { readonly tdvpr: number; readonly tdcx: readonly number[] }[] = [];

  constructor(
    readonly host: Host,
    readonly hkid = 17,
  ) {
    this.tdr = host.alloc();
  }

  get td(): Td {
    const td = this.host.module.state.tds.get(this.tdr);
    if (td === undefined) throw new Error("the TD is gone");
    return td;
  }

  vcpu(index = 0): TdVcpu {
    const vcpu = this.host.module.state.vcpus.get(this.vps[index]?.tdvpr ?? -1);
    if (vcpu === undefined) throw new Error(`no vCPU ${index}`);
    return vcpu;
  }

  cpu(index = 0): ScriptedCpu {
    const cpu = this.host.cpus.get(this.vcpu(index));
    if (cpu === undefined) throw new Error(`vCPU ${index} has no processor`);
    return cpu;
  }

  create(): this {
    this.host.must(Tdh.MngCreate, { rcx: this.tdr, rdx: this.hkid });
    return this;
  }

  configureKeys(): this {
    this.host.eachPackage((lp) => this.host.must(Tdh.MngKeyConfig, { rcx: this.tdr }, { lp }));
    return this;
  }

  addControlPages(count = 6): this {
    for (let i = 0; i < count; i++) {
      const page = this.host.alloc();
      this.host.must(Tdh.MngAddCx, { rcx: page, rdx: this.tdr });
      this.tdcx.push(page);
    }
    return this;
  }

  /** Writes TD_PARAMS to {@link SCRATCH}. */
  writeParams(params: Params = {}, change: (view: DataView) => void = () => {}): number {
    this.host.page(SCRATCH).fill(0);
    const view = this.host.view(SCRATCH);
    view.setBigUint64(0, params.attributes ?? 0n, true);
    view.setBigUint64(8, params.xfam ?? 3n, true);
    view.setUint16(16, params.maxVcpus ?? 4, true);
    view.setBigUint64(24, params.eptp ?? 0x1en, true);
    view.setBigUint64(32, params.configFlags ?? 0n, true);
    view.setUint16(40, params.tscFrequency ?? 40, true);
    change(view);
    return SCRATCH;
  }

  init(params?: Params): this {
    this.host.must(Tdh.MngInit, { rcx: this.tdr, rdx: this.writeParams(params) });
    return this;
  }

  /** From nothing to INITIALIZED. */
  build(params?: Params): this {
    return this.create().configureKeys().addControlPages().init(params);
  }

  addVcpu({ lp = 0, version = 0, apicId = this.vps.length } = {}): this {
    const [tdvpr = 0, ...tdcx] = Array.from({ length: 6 }, () => this.host.alloc());
    this.host.must(Tdh.VpCreate, { rcx: tdvpr, rdx: this.tdr }, { lp });
    for (const page of tdcx) this.host.must(Tdh.VpAddCx, { rcx: page, rdx: tdvpr }, { lp });
    this.host.must(Tdh.VpInit, { rcx: tdvpr, rdx: 0x1234, r8: apicId }, { lp, version });
    this.vps.push({ tdvpr, tdcx });
    return this;
  }

  /** Tables for `gpa`, down to those of 4 KiB entries (or of `level`). */
  addTables(gpa: number, level = 1): this {
    for (let at = 3; at >= level; at--) {
      const base = gpa - (gpa % (PAGE * 512 ** at));
      const page = this.host.alloc();
      const { status } = this.host.call(Tdh.SeptAdd, { rcx: base + at, rdx: this.tdr, r8: page });
      if (status === 0n) this.tables.push(page);
      else this.host.free(page);
    }
    return this;
  }

  /** PAGE.ADD of a page of `fill`. */
  addPage(gpa: number, fill = 0xab): this {
    this.addTables(gpa);
    this.host.page(SCRATCH).fill(fill);
    const page = this.host.alloc();
    this.host.must(Tdh.PageAdd, { rcx: gpa, rdx: this.tdr, r8: page, r9: SCRATCH });
    this.pages.set(gpa, page);
    return this;
  }

  augPage(gpa: number): this {
    this.addTables(gpa);
    const page = this.host.alloc();
    this.host.must(Tdh.PageAug, { rcx: gpa, rdx: this.tdr, r8: page });
    this.pages.set(gpa, page);
    return this;
  }

  finalize(): this {
    this.host.must(Tdh.MrFinalize, { rcx: this.tdr });
    return this;
  }

  /** RUNNABLE, with one vCPU and a page at 0. */
  runnable(params?: Params): this {
    return this.build(params).addVcpu().addPage(0).finalize();
  }

  enter(index = 0, lp = 0) {
    return this.host.call(Tdh.VpEnter, { rcx: this.vps[index]?.tdvpr ?? 0 }, { lp });
  }

  remove(gpa: number): this {
    this.host.must(Tdh.RangeBlock, { rcx: gpa, rdx: this.tdr });
    this.host.must(Tdh.Track, { rcx: this.tdr });
    const { regs } = this.host.must(Tdh.PageRemove, { rcx: gpa, rdx: this.tdr });
    this.host.must(Tdh.PageWbInvd, { rcx: regs[Gpr.Rcx] as bigint });
    this.host.free(Number(regs[Gpr.Rcx]));
    this.pages.delete(gpa);
    return this;
  }

  /** Everything up to the end of the key. */
  freeKey(): this {
    for (const { tdvpr } of this.vps) {
      const lp = this.host.module.state.vcpus.get(tdvpr)?.associatedLp ?? -1;
      if (lp >= 0) this.host.must(Tdh.VpFlush, { rcx: tdvpr }, { lp });
    }
    this.host.must(Tdh.VpFlushDone, { rcx: this.tdr });
    this.host.eachPackage((lp) => this.host.must(Tdh.CacheWb, { rcx: 0 }, { lp }));
    this.host.must(Tdh.KeyFreeId, { rcx: this.tdr });
    return this;
  }

  /** All pages, the TDR last. */
  reclaim(): this {
    const control = this.vps.flatMap(({ tdvpr, tdcx }) => [...tdcx, tdvpr]);
    for (const page of [...this.pages.values(), ...this.tables, ...control, ...this.tdcx, this.tdr]) {
      this.host.must(Tdh.PageReclaim, { rcx: page });
      this.host.free(page);
    }
    return this;
  }

  destroy(): void {
    this.freeKey().reclaim();
  }
}
