import { describe, expect, it } from "vitest";
import { type CpuidLeaf, CpuidTable, DEFAULT_CPUID } from "../src/index.js";
import { CODE, FakeMachine, RAX, RCX, RDX, reg, setReg } from "./fake-machine.js";
import { MISSING, MSR_RULES } from "./msr-rules.js";

const GP = 13;
const WRMSR = [0x0f, 0x30];
const RDMSR = [0x0f, 0x32];
/** #GP(0), the value read, or null. */
type Outcome = "#GP" | bigint | null;

/** Executes RDMSR and WRMSR in 64-bit mode at CPL 0, each from the state after reset. */
class MsrMachine {
  readonly #m: FakeMachine;
  #raised: number | null = null;

  constructor(cpuid: readonly CpuidLeaf[] = DEFAULT_CPUID) {
    this.#m = new FakeMachine();
    const { vcpu } = this.#m;
    const table = new CpuidTable(cpuid);
    vcpu.ports.cpuid.query = (leaf, subleaf) => table.query(leaf, subleaf);
    vcpu.hooks = {
      inject: (vector, errorCode) => {
        expect([vector, errorCode]).toEqual([GP, 0]);
        this.#raised = vector;
      },
    };
    this.#m.write(CODE, [...WRMSR, ...RDMSR]);
  }

  reset(): void {
    const { vcpu } = this.#m;
    vcpu.reset();
    this.#m.enterLongMode(vcpu);
  }

  write(msr: number, value: bigint): Outcome {
    const { vcpu } = this.#m;
    setReg(vcpu, RAX, value & 0xffffffffn);
    setReg(vcpu, RDX, value >> 32n);
    return this.#run(CODE, msr) ? null : "#GP";
  }

  read(msr: number): Outcome {
    const { vcpu } = this.#m;
    if (!this.#run(CODE + 2, msr)) return "#GP";
    expect(reg(vcpu, RAX) >> 32n).toBe(0n);
    return (reg(vcpu, RDX) << 32n) | reg(vcpu, RAX);
  }

  #run(at: number, msr: number): boolean {
    const { vcpu } = this.#m;
    this.#raised = null;
    // The handler of the last #GP halted.
    vcpu.activity = "active";
    setReg(vcpu, RCX, msr);
    vcpu.setRip(at, 0);
    vcpu.run(1);
    return this.#raised === null;
  }
}

/** Both registers of CPUID leaf 7 replaced. */
const withLeaf7 = (changes: Partial<CpuidLeaf>): CpuidLeaf[] =>
  DEFAULT_CPUID.map((leaf) => (leaf.leaf === 7 ? { ...leaf, ...changes } : leaf));
const without = (leaf: number, register: "ebx" | "ecx" | "edx", bit: number): CpuidLeaf[] =>
  DEFAULT_CPUID.map((row) => (row.leaf === leaf ? { ...row, [register]: row[register] & ~(1 << bit) } : row));
const BITS = Array.from({ length: 64 }, (_, bit) => bit);

describe("every bit of an MSR, flipped alone, is written or is #GP", () => {
  const machine = new MsrMachine();

  it("in some 1800 cases and more", () => {
    expect(MSR_RULES.length * 64 + 2 * MISSING.length).toBeGreaterThan(1800);
    expect(new Set(MSR_RULES.map(({ number }) => number)).size).toBe(MSR_RULES.length);
  });

  it.each(MSR_RULES)("$name ($source)", ({ number, base = 0n, accepts, keeps }) => {
    for (const bit of BITS) {
      machine.reset();
      const value = base ^ (1n << BigInt(bit));
      const before = machine.read(number);
      expect(machine.write(number, value), `bit ${bit}`).toBe(accepts(bit) ? null : "#GP");
      const after = machine.read(number);
      if (keeps && accepts(bit)) expect(after, `bit ${bit}`).toBe(value);
      else if (!accepts(bit)) expect(after, `bit ${bit}`).toBe(before);
    }
  });
});

describe("an MSR that is not there", () => {
  const rows = MISSING.map(([number, name]) => ({ number, title: `0x${number.toString(16)}: ${name}` }));

  it.each(rows)("$title", ({ number }) => {
    const machine = new MsrMachine();
    machine.reset();
    expect(machine.read(number)).toBe("#GP");
    for (const value of [0n, 1n, (1n << 64n) - 1n]) expect(machine.write(number, value)).toBe("#GP");
  });
});

describe("an MSR that holds an address takes canonical ones (SDM vol. 1, 3.3.7.1)", () => {
  const ADDRESSES = MSR_RULES.filter(({ accepts }) => accepts(46) && !accepts(47) && !accepts(63));
  const GOOD = [0n, 0x123456789abcn, 0x7fffffffffffn, 0xffff800000000000n, 0xffffffffffffffffn];
  const BAD = [0x800000000000n, 0xaaaaaaaaaaaaaaaan, 0xffff7fffffffffffn, 0x7fff800000000000n, 0x8000000000000000n];

  it("all seven of them", () => {
    expect(ADDRESSES.map(({ number }) => number.toString(16))).toEqual(
      "175 176 c0000082 c0000083 c0000100 c0000101 c0000102".split(" "),
    );
  });

  it.each(ADDRESSES)("$name", ({ number }) => {
    const machine = new MsrMachine();
    machine.reset();
    for (const address of GOOD) {
      expect(machine.write(number, address)).toBeNull();
      expect(machine.read(number)).toBe(address);
      for (const bad of BAD) expect(machine.write(number, bad)).toBe("#GP");
      expect(machine.read(number)).toBe(address);
    }
  });

  it("of 57 bits if the processor has LA57, whatever CR4.LA57 is (SDM vol. 3, 4.5.2)", () => {
    const machine = new MsrMachine(withLeaf7({ ecx: 1 << 16 }));
    machine.reset();
    expect(machine.write(0xc0000082, 0xff000000000000n)).toBeNull();
    expect(machine.write(0xc0000082, 0xff00000000000000n)).toBeNull();
    expect(machine.write(0xc0000082, 0x0100000000000000n)).toBe("#GP");
    expect(machine.write(0xc0000082, 0xaaaaaaaaaaaaaaaan)).toBe("#GP");
  });
});

describe("after reset", () => {
  it.each([
    ["IA32_PAT", 0x277, 0x0007040600070406n, "vol. 3, 12.12.4"],
    ["IA32_MISC_ENABLE: fast strings, no BTS, no PEBS", 0x1a0, 0x1801n, "vol. 4, table 2-2"],
    ["IA32_FEATURE_CONTROL: locked", 0x3a, 1n, "vol. 4, table 2-2"],
    ["IA32_MCG_CAP: ten banks", 0x179, 10n, "vol. 3, 16.3.1.1"],
    ["IA32_PLATFORM_ID", 0x17, 0n, "vol. 4, table 2-2"],
    ["IA32_MTRRCAP: no ranges", 0xfe, 0n, "vol. 3, 12.11.1"],
    ["IA32_MTRR_DEF_TYPE: on, write-back", 0x2ff, 0x806n, "vol. 3, 12.11.2.1"],
    ["IA32_LSTAR", 0xc0000082, 0n, "vol. 3, table 10-1"],
    ["IA32_SYSENTER_CS", 0x174, 0n, "vol. 3, table 10-1"],
    ["IA32_TSC_ADJUST", 0x3b, 0n, "vol. 3, 18.17.3"],
    ["IA32_MC0_STATUS", 0x401, 0n, "vol. 3, 16.3.2.2"],
  ])("%s", (_, number, value) => {
    const machine = new MsrMachine();
    machine.reset();
    expect(machine.read(number)).toBe(value);
  });
});

describe("machine-check banks (SDM vol. 3, 16.3.2)", () => {
  it.each([0, 9])("bank %i: CTL is all ones or zeros, STATUS is only cleared", (bank) => {
    const machine = new MsrMachine();
    machine.reset();
    const ones = (1n << 64n) - 1n;
    for (const value of [ones, 0n]) {
      expect(machine.write(0x400 + 4 * bank, value)).toBeNull();
      expect(machine.read(0x400 + 4 * bank)).toBe(value);
    }
    for (const value of [0xaaaaaaaaaaaaaaaan, 1n, 0xffffffffn])
      expect(machine.write(0x400 + 4 * bank, value)).toBe("#GP");
    expect(machine.write(0x401 + 4 * bank, 0n)).toBeNull();
    expect(machine.write(0x401 + 4 * bank, ones)).toBe("#GP");
  });
});

describe("what CPUID does not offer", () => {
  it.each([
    ["SYSENTER", without(1, "edx", 11), [0x174, 0x175, 0x176]],
    ["the TSC", without(1, "edx", 4), [0x10]],
    ["PAT", without(1, "edx", 16), [0x277]],
    ["TSC_ADJUST", without(7, "ebx", 1), [0x3b]],
    ["IBRS and IBPB", without(7, "edx", 26), [0x48, 0x49]],
    ["ARCH_CAPABILITIES", without(7, "edx", 29), [0x10a]],
    [
      "long mode",
      without(0x80000001, "edx", 29),
      [0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102],
    ],
    ["SYSCALL", without(0x80000001, "edx", 11), [0xc0000081]],
  ])("has no MSRs: %s", (_, cpuid, numbers) => {
    const machine = new MsrMachine(cpuid);
    machine.reset();
    for (const number of numbers) {
      expect(machine.read(number), number.toString(16)).toBe("#GP");
      expect(machine.write(number, 0n), number.toString(16)).toBe("#GP");
    }
  });

  it("is a reserved bit: EFER.NXE without NX, SPEC_CTRL.STIBP without STIBP", () => {
    const efer = new MsrMachine(without(0x80000001, "edx", 20));
    efer.reset();
    expect(efer.write(0xc0000080, 0x501n)).toBeNull();
    expect(efer.write(0xc0000080, 0xd01n)).toBe("#GP");
    const control = new MsrMachine(withLeaf7({ edx: (1 << 26) | (1 << 27) | (1 << 31) }));
    control.reset();
    for (let value = 0n; value < 8n; value++) expect(control.write(0x48, value)).toBeNull();
    expect(control.write(0x48, 8n)).toBe("#GP");
    expect(control.write(0x48, 1n << 10n)).toBe("#GP");
  });

  it("appears with its bit: SPEC_CTRL.BHI_DIS_S with BHI_CTRL", () => {
    const machine = new MsrMachine([...DEFAULT_CPUID, { leaf: 7, subleaf: 2, eax: 0, ebx: 0, ecx: 0, edx: 1 << 4 }]);
    machine.reset();
    expect(machine.write(0x48, 1n << 10n)).toBeNull();
    expect(machine.read(0x48)).toBe(1n << 10n);
    expect(machine.write(0x48, 1n << 11n)).toBe("#GP");
  });

  it("appears with its bit: IA32_XSS with XSAVES, with the state components that CPUID lists", () => {
    const others = DEFAULT_CPUID.filter(({ leaf }) => leaf !== 0xd);
    const offered = (ecx: number): CpuidLeaf => ({ leaf: 0xd, subleaf: 1, eax: 8, ebx: 0, ecx, edx: 0 });
    const machine = new MsrMachine([...others, offered(0x800)]);
    machine.reset();
    expect(machine.read(0xda0)).toBe(0n);
    for (const bit of BITS) expect(machine.write(0xda0, 1n << BigInt(bit))).toBe(bit === 11 ? null : "#GP");
    const absent = new MsrMachine(others);
    absent.reset();
    expect(absent.read(0xda0)).toBe("#GP");
    expect(absent.write(0xda0, 0n)).toBe("#GP");
  });

  it("appears with its bit: IA32_FLUSH_CMD with L1D_FLUSH", () => {
    const machine = new MsrMachine(withLeaf7({ edx: 1 << 28 }));
    machine.reset();
    expect(machine.write(0x10b, 0n)).toBeNull();
    expect(machine.write(0x10b, 1n)).toBeNull();
    for (const bit of BITS.slice(1)) expect(machine.write(0x10b, 1n << BigInt(bit))).toBe("#GP");
    expect(machine.read(0x10b)).toBe("#GP");
  });
});

describe("IA32_EFER (SDM vol. 3, 2.2.1)", () => {
  it("keeps LMA whatever is written, and LME while paging is on", () => {
    const machine = new MsrMachine();
    machine.reset();
    expect(machine.write(0xc0000080, 0x101n)).toBeNull();
    expect(machine.read(0xc0000080)).toBe(0x501n);
    expect(machine.write(0xc0000080, 0x401n)).toBe("#GP");
    expect(machine.read(0xc0000080)).toBe(0x501n);
  });
});

describe("the time-stamp counter (SDM vol. 3, 18.17.3)", () => {
  it.each([
    ["IA32_TIME_STAMP_COUNTER", 0x10],
    ["IA32_TSC_ADJUST", 0x3b],
  ])("is exact in all its 64 bits when %s is written, and the APIC is told", (_, msr) => {
    const m = new FakeMachine();
    const { vcpu } = m;
    const value = 0xfedcba9876543211n;
    m.assemble(CODE, (a) => a.wrmsr().rdtsc());
    setReg(vcpu, RCX, msr);
    setReg(vcpu, RAX, value & 0xffffffffn);
    setReg(vcpu, RDX, value >> 32n);
    vcpu.run(1);
    expect(m.apic.moves).toBe(1);
    vcpu.run(1);
    const now = (reg(vcpu, RDX) << 32n) | reg(vcpu, RAX);
    // A tick an instruction, from 0 on.
    expect(now - value).toBeLessThan(4n);
    expect(now).toBeGreaterThanOrEqual(value);
  });

  it("goes on from what was written, and IA32_TSC_ADJUST moves by as much", () => {
    const machine = new MsrMachine();
    machine.reset();
    const adjust = (): bigint => BigInt.asIntN(64, machine.read(0x3b) as bigint);
    const tsc = (): bigint => machine.read(0x10) as bigint;
    const before = adjust();
    const start = tsc();
    expect(machine.write(0x10, 1_000_000n)).toBeNull();
    const now = tsc();
    expect(now).toBeGreaterThanOrEqual(1_000_000n);
    expect(now).toBeLessThan(1_000_100n);
    const moved = adjust() - before;
    expect(moved).toBeGreaterThan(1_000_000n - start - 100n);
    expect(moved).toBeLessThanOrEqual(1_000_000n - start);
    expect(machine.write(0x3b, 0n)).toBeNull();
    expect(tsc()).toBeLessThan(start + 1000n);
  });
});
