import type { GuestPorts } from "../../../src/guest/ports.js";
import { TdGuest } from "../../../src/guest/td-guest.js";
import { Gpr } from "../../../src/module/gpr.js";
import { OpState } from "../../../src/module/td.js";
import type { TdVcpu } from "../../../src/module/td-vcpu.js";
import { InvariantError } from "../check-module.js";
import { Host, PAGE } from "../host.js";
import type { Random } from "../random.js";
import { ModelCpu } from "./model-cpu.js";
import type { ModelTd } from "./model-td.js";

/** Pages that the host plays with. */
const PAGES = 220;

/** A host with a model of what it has done beside the module that did it. */
export class ModelHost extends Host {
  readonly tds: ModelTd[] = [];
  readonly pool: Set<number>;
  readonly modelCpus = new Map<TdVcpu, ModelCpu>();
  /** Names of the leaves that were called, with what they ended with. */
  readonly seen = new Map<string, number>();
  calls = 0;
  depth = 0;
  nextTag = 1;

  constructor(readonly random: Random) {
    super();
    Object.assign(this.platform, {
      createGuestCpu: (vcpu: TdVcpu) => {
        const cpu = new ModelCpu();
        this.modelCpus.set(vcpu, cpu);
        return cpu;
      },
    });
    this.bringUp();
    this.pool = new Set(Array.from({ length: PAGES }, () => this.alloc()));
  }

  fail(code: string, message: string): never {
    throw new InvariantError(code, message);
  }

  assert(holds: boolean, code: string, message: string): void {
    if (!holds) this.fail(code, message);
  }

  override call(...args: Parameters<Host["call"]>): ReturnType<Host["call"]> {
    this.calls++;
    const result = super.call(...args);
    const key = `${args[0]} ${result.text.split("|")[0]}`;
    this.seen.set(key, (this.seen.get(key) ?? 0) + 1);
    return result;
  }

  /** A page to give away: free mostly, now and then one that is not. */
  somePage(): number {
    const { random } = this;
    if (random.chance(10) && this.tds.length > 0) {
      const pages = random.pick(this.tds).pages();
      if (pages.length > 0) return random.pick(pages);
    }
    return this.pool.size > 0 ? random.pick([...this.pool]) : 0x10_0000;
  }

  /** The page went to a TD. */
  give(hpa: number): void {
    this.assert(this.pool.delete(hpa), "I2", `page 0x${hpa.toString(16)} was given away twice`);
  }

  /** The page came back: nothing of the TD's may be in it. */
  takeBack(hpa: number, tag: number): void {
    this.assert(!this.pool.has(hpa), "I2", `page 0x${hpa.toString(16)} came back twice`);
    this.assert(!this.module.isPrivate(hpa), "I1", `page 0x${hpa.toString(16)} came back and is private`);
    const frame = this.page(hpa);
    const leaked = frame.subarray(0, 64).every((byte) => byte === tag);
    this.assert(!leaked, "I1", `page 0x${hpa.toString(16)} came back with what the TD had in it`);
    this.pool.add(hpa);
  }

  vcpu(tdvpr: number): TdVcpu {
    return this.module.state.vcpus.get(tdvpr) ?? this.fail("states", `no vCPU 0x${tdvpr.toString(16)}`);
  }

  isRunning(td: ModelTd): boolean {
    return td.vps.some(
      ({ tdvpr, initialised }) => initialised && this.modelCpus.get(this.vcpu(tdvpr))?.running === true,
    );
  }

  /** The vCPUs of a TD that run may not have a translation of a page that is gone. */
  checkGone(td: ModelTd, gpa: number, hpa: number): void {
    for (const { tdvpr, initialised } of td.vps) {
      const cpu = initialised ? this.modelCpus.get(this.vcpu(tdvpr)) : undefined;
      const stale = cpu?.running === true && cpu.tlb.get(gpa) === hpa;
      this.assert(!stale, "I4", `a running vCPU still has 0x${gpa.toString(16)}, which is gone`);
    }
  }

  /** One thing that the guest of a vCPU does. */
  guestStep(td: ModelTd, vcpu: TdVcpu, cpu: ModelCpu): void {
    const gpa = this.random.below(12) * PAGE;
    if (this.random.chance(3)) this.accept(td, vcpu, cpu, gpa);
    else this.access(td, vcpu, cpu, gpa);
  }

  /** The guest touches a page: by a translation that the processor has, or finds. */
  access(td: ModelTd, vcpu: TdVcpu, cpu: ModelCpu, gpa: number): void {
    const mapping = td.mappings.get(gpa);
    let hpa = cpu.tlb.get(gpa);
    if (hpa !== undefined) {
      this.assert(mapping?.hpa === hpa, "I4", `a stale translation of 0x${gpa.toString(16)} was used`);
    } else {
      const pfn = vcpu.td.sept?.walk(gpa / PAGE, 2) ?? 0;
      if (pfn <= 0) return;
      hpa = pfn * PAGE;
      const usable = mapping !== undefined && !mapping.pending && !mapping.blocked;
      this.assert(usable, "I3", `the guest reached 0x${gpa.toString(16)}: ${JSON.stringify(mapping)}`);
      this.assert(mapping?.hpa === hpa, "I2", `0x${gpa.toString(16)} leads to 0x${hpa.toString(16)}`);
      cpu.tlb.set(gpa, hpa);
    }
    if (mapping === undefined) return;
    const frame = this.page(hpa);
    this.assert(frame[9] === mapping.tag, "I10", `0x${gpa.toString(16)} reads ${frame[9]}, was ${mapping.tag}`);
    frame.fill(td.tag);
    mapping.tag = td.tag;
  }

  /** The guest accepts a page. */
  accept(td: ModelTd, vcpu: TdVcpu, cpu: ModelCpu, gpa: number): void {
    const guest = new TdGuest(vcpu, cpu, this.module.state, NO_PORTS);
    cpu.gpr.set(Gpr.Rax, 6n);
    cpu.gpr.set(Gpr.Rcx, BigInt(gpa));
    this.calls++;
    const outcome = guest.tdcall();
    if (outcome === "exit") guest.takeExit();
    const mapping = td.mappings.get(gpa);
    if (outcome !== "done" || cpu.gpr.get(Gpr.Rax) !== 0n) return;
    const acceptable = mapping?.pending === true && !mapping.blocked;
    this.assert(acceptable, "I3", `0x${gpa.toString(16)} was accepted: ${JSON.stringify(mapping)}`);
    if (mapping === undefined) return;
    const zero = this.page(mapping.hpa).every((byte) => byte === 0);
    this.assert(zero, "I10", `0x${gpa.toString(16)} was accepted and is not zero`);
    mapping.pending = false;
    mapping.tag = 0;
  }

  /** States go forward only. */
  checkStates(): void {
    for (const td of this.tds) {
      const real = this.module.state.tds.get(td.tdr);
      if (real === undefined) this.fail("states", `TD 0x${td.tdr.toString(16)} is gone`);
      this.assert(real.lifecycle >= td.lifecycle, "I6", `lifecycle ${td.lifecycle} became ${real.lifecycle}`);
      this.assert(
        real.opState >= td.opState && real.opState <= OpState.Runnable,
        "I6",
        `op_state ${td.opState} became ${real.opState}`,
      );
      td.lifecycle = real.lifecycle;
      td.opState = real.opState;
    }
  }
}

/** A guest that asks for nothing outside. */
const NO_PORTS: GuestPorts = {
  sharedPage: () => ({ suppressVe: true }),
  reports: {
    create: () => new Uint8Array(1024),
    verify: () => "invalid-reportmacstruct",
  },
};
