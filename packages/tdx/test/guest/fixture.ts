import type { SharedPage } from "../../src/guest/ports.js";
import { TdGuest } from "../../src/guest/td-guest.js";
import { Gpr } from "../../src/module/gpr.js";
import type { GuestCpu, InitialState, VmExit } from "../../src/module/guest-cpu.js";
import { ModuleState } from "../../src/module/module-state.js";
import type { PlatformDesc } from "../../src/module/platform.js";
import { SecureEpt, SeptTable } from "../../src/module/sept.js";
import { SeptState } from "../../src/module/sept-state.js";
import { Attribute, OpState, Td } from "../../src/module/td.js";
import { computeTdCpuid } from "../../src/module/td-cpuid.js";
import { TdVcpu, VcpuState } from "../../src/module/td-vcpu.js";
import { ReportPlatform } from "../../src/report/platform.js";

/** Bits from their positions. */
export const bits = (...positions: number[]): number => positions.reduce((mask, at) => mask | (1 << at), 0) >>> 0;

/** CPUID of a processor without AVX, MWAIT and PMU, by "leaf.subleaf" in hexadecimal. */
export const NATIVE: Readonly<Record<string, readonly [number, number, number, number]>> = {
  "0.0": [0x16, 0x756e6547, 0x6c65746e, 0x49656e69],
  "1.0": [0x506ca, 0x10800, bits(0, 1, 9, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 30, 31), 0xf8bfbff & ~(1 << 10)],
  "7.0": [0, bits(0, 1, 7, 9, 10, 18, 19, 20, 23, 24, 29), bits(2, 3, 22), bits(4, 26, 29)],
  "d.0": [0x203, 576, 584, 0],
  "d.1": [bits(0, 1, 2, 3), 576, 0, 0],
  "d.9": [8, 576, 0, 0],
  "15.0": [1, 1, 1_000_000_000, 0],
  "80000000.0": [0x80000008, 0, 0, 0],
  "80000001.0": [0, 0, bits(0, 8), bits(11, 20, 26, 27, 29)],
  "80000008.0": [0x3028, 0, 0, 0],
};

/** A processor that only has registers. It notes what is injected. */
export class FakeCpu implements GuestCpu {
  readonly registers = new BigUint64Array(16);
  readonly xmmBytes = new Uint8Array(256);
  readonly gpr = {
    get: (index: number): bigint => this.registers[index] ?? 0n,
    set: (index: number, value: bigint): void => {
      this.registers[index] = value;
    },
  };
  readonly xmm = {
    get: (to: Uint8Array): void => to.set(this.xmmBytes),
    set: (from: Uint8Array): void => this.xmmBytes.set(from),
  };
  cpl = 0;
  cr0 = 0x8005_0033n;
  cr3 = 0x1000n;
  cr4 = 0x2060n;
  efer = 0xd01n;
  is64Bit = true;
  xcr0 = 3n;
  xss = 0n;
  rip = 0xffff_ffff_8100_0000n;
  instructionLength = 2;
  readonly injected: (readonly [number, number | null])[] = [];

  reset(state: InitialState): void {
    this.registers.set(state.gprs);
  }

  inject(vector: number, errorCode: number | null): void {
    this.injected.push([vector, errorCode]);
  }

  flushTlb(): void {
    this.injected.length = 0;
  }

  run(): VmExit {
    return { reason: "external-interrupt" };
  }
}

/** A TD with one vCPU, a page table that maps nothing yet, and the guest side of it. */
export function guest(change: Partial<Pick<Td, "attributes" | "xfam" | "configFlags" | "gpaw" | "tdCtls">> = {}) {
  const memory = new Map<number, Uint8Array>();
  const page = (hpa: number): Uint8Array => {
    const known = memory.get(hpa) ?? new Uint8Array(4096).fill(0xcc);
    memory.set(hpa, known);
    return known;
  };
  const cpuid: PlatformDesc["cpuid"] = (leaf, subleaf) =>
    NATIVE[`${leaf.toString(16)}.${subleaf}`] ?? NATIVE[`${leaf.toString(16)}.0`] ?? [0, 0, 0, 0];
  const cpu = new FakeCpu();
  /** The host's time stamp counter, in ns. */
  const clock = { now: 0n };
  const module = new ModuleState({
    memory: { page },
    packages: 1,
    processors: [{ package: 0 }],
    cmrs: [{ base: 0, size: 0x4000_0000 }],
    privateHkids: { first: 32, count: 32 },
    maxPhysAddr: 52,
    random: () => true,
    secret: new Uint8Array(32),
    tsc: () => clock.now,
    tscFrequency: 1e9,
    cpuid,
    createGuestCpu: () => cpu,
  });
  const td = new Td(0x1000, 32);
  Object.assign(td, { attributes: Attribute.SEPT_VE_DISABLE, xfam: 0x203n, tdCtls: 1n, ...change });
  td.opState = OpState.Runnable;
  td.maxVcpus = 4;
  td.numVcpus = 1;
  td.tscFrequency = 40;
  td.archCapabilities = 0x1234n;
  td.sept = new SecureEpt(new SeptTable(0x2000), td.gpaw ? 5 : 4);
  const { attributes, xfam, tscFrequency, gpaBits } = td;
  for (const [key, values] of computeTdCpuid({
    native: cpuid,
    config: CONFIG,
    attributes,
    xfam,
    tscFrequency,
    gpaBits,
  }))
    td.cpuid.set(key, values);
  const vcpu = new TdVcpu(td, 0x3000);
  td.vcpus.set(0x3000, vcpu);
  vcpu.state = VcpuState.Active;
  vcpu.xfam = td.xfam;
  vcpu.cpu = cpu;
  const shared = new Map<number, SharedPage>();
  const reports = new ReportPlatform({ secret: new Uint8Array(32).fill(7) });
  const door = new TdGuest(vcpu, cpu, module, {
    sharedPage: (gpa) => shared.get(gpa) ?? { suppressVe: true },
    reports,
  });
  /** Maps one page of `level` at `gpa` to the frames from `hpa` on. */
  const map = (gpa: number, hpa: number, state = SeptState.Mapped, level = 0): void => {
    const { sept } = td;
    if (sept === undefined) throw new Error("no secure EPT");
    for (let at = sept.levels - 1; at > level; at--) {
      const entry = sept.find(gpa, at);
      if (entry.child === undefined) entry.setTable(new SeptTable(0x10_0000 + at * 4096));
    }
    sept.find(gpa, level).setLeaf(state, hpa, state === SeptState.Mapped ? 7 : 0);
  };
  return { module, td, vcpu, cpu, door, page, map, shared, reports, clock };
}

/** TD_PARAMS.CPUID_CONFIG as KVM would have it: everything that may be taken away stays. */
const ALL = 0xffff_ffff;
const CONFIG: readonly (readonly [number, number, number, number])[] = [
  [0, 0, 0x31044d88, 0xb8440000],
  [0, 0, 0, 0],
  [0, 0, 0, 0],
  [0, 0, 0, 0],
  [0, 0, 0, 0],
  [0, 0xdc2b9b18 & ALL, 0x2417f65, 0x5411c],
];

/** A TDCALL with some registers; the outcome and the status. */
export function call(
  { cpu, door }: ReturnType<typeof guest>,
  leaf: number,
  regs: Partial<Record<keyof typeof Gpr, bigint>> = {},
  version = 0,
) {
  cpu.gpr.set(Gpr.Rax, BigInt(leaf) | (BigInt(version) << 16n));
  for (const [name, value] of Object.entries(regs)) cpu.gpr.set(Gpr[name as keyof typeof Gpr], value);
  const outcome = door.tdcall();
  return { outcome, status: cpu.gpr.get(Gpr.Rax) };
}
