import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_CPUID, type VcpuState, VcpuStateError, withFeatures } from "../../src/index.js";
import { CODE, DATA, FakeMachine, GDT, IDT, RAM, TSS } from "../fake-machine.js";
import { gate } from "../protected-machine.js";
import { states } from "./arbitrary-state.js";

/** Instructions that an accepted state is given, at most. */
const INSTRUCTIONS = 4000;
/** States drawn. */
const RUNS = 120;

type Tree = { [key: string]: unknown };

/** The objects and arrays of a value, from the outermost in. */
function containers(value: unknown, into: Tree[] = []): Tree[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return into;
  into.push(value as Tree);
  for (const inner of Object.values(value)) containers(inner, into);
  return into;
}

const nasty: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 0xffffffff }), weight: 2 },
  { arbitrary: fc.integer({ min: 0, max: 31 }).map((bit) => 2 ** bit), weight: 3 },
  { arbitrary: fc.integer({ min: 0, max: 255 }), weight: 3 },
  fc.constantFrom<unknown>(
    null,
    undefined,
    "",
    "active",
    "__proto__",
    [],
    {},
    true,
    -1,
    0.5,
    NaN,
    Infinity,
    2 ** 32,
    1n,
  ),
  fc.constantFrom<unknown>(new Uint8Array(0), new Uint8Array(80).fill(255), new Uint8Array(256), new Int32Array(64)),
);
/** Which of the containers, which of its fields, what it becomes. */
const change = fc.record({ where: fc.nat(), field: fc.nat(), value: nasty });

function changed(state: VcpuState, changes: readonly { where: number; field: number; value: unknown }[]): VcpuState {
  const copy = structuredClone(state);
  for (const { where, field, value } of changes) {
    const all = containers(copy);
    const into = all[where % all.length] as Tree;
    const keys = Object.keys(into);
    if (keys.length > 0) into[keys[field % keys.length] as string] = value;
  }
  return copy;
}

/** Restores `state`. @returns what was wrong with it, or null. Anything but a `VcpuStateError` goes on to the test. */
function refused({ vcpu }: FakeMachine, state: unknown): VcpuStateError | null {
  const before = vcpu.save();
  try {
    vcpu.restore(state as VcpuState);
    return null;
  } catch (error) {
    if (!(error instanceof VcpuStateError)) throw error;
    expect(error.code).toBe("state");
    expect(vcpu.save()).toEqual(before);
    return error;
  }
}

/** Instructions that mean something in every mode, also what changes it. */
const INSTRUCTION_BYTES: readonly (readonly number[])[] = [
  // NOP, PUSH, POP, PUSHF, POPF, STI, CLI, INC, ADD and MOV of memory, LOOP.
  ...[[0x90], [0x50], [0x5b], [0x9c], [0x9d], [0xfb], [0xfa], [0xff, 0xc0], [0x01, 0x07], [0x8b, 0x03], [0xe2, 0xf0]],
  // MOV SS, DS, ES; strings; IN, OUT; INT, INT3, IRET, HLT.
  ...[[0x8e, 0xd0], [0x8e, 0xd8], [0x8e, 0xc3], [0xa4], [0xf3, 0xaa], [0xf3, 0xa6], [0xe4, 0x60], [0xe6, 0x61]],
  ...[[0xcd, 0x40], [0xcc], [0xcf], [0xf4], [0x0f, 0x05], [0x0f, 0x34], [0x0f, 0x30], [0x0f, 0x32], [0x0f, 0xa2]],
  // FLDPI, FADDP, FXSAVE, EMMS, ADDPS, MOV to CR0, CR4, DR7.
  ...[
    [0xd9, 0xeb],
    [0xde, 0xc1],
    [0x0f, 0xae, 0x07],
    [0x0f, 0x77],
    [0x0f, 0x58, 0xc1],
    [0x0f, 0x22, 0xc0],
  ],
  ...[
    [0x0f, 0x22, 0xe0],
    [0x0f, 0x23, 0xf8],
  ],
];
const code = fc.array(fc.constantFrom(...INSTRUCTION_BYTES), { minLength: 8, maxLength: 40 }).map((all) => all.flat());

/** The same again and again, in all RAM but the tables. */
function fill({ ram }: FakeMachine, bytes: readonly number[]): void {
  const first = CODE - 0x100;
  ram.set(bytes, first);
  for (let size = bytes.length; first + size < RAM; size *= 2) ram.copyWithin(first + size, first, first + size);
}

/** Tables of 32-bit code and of real mode, beside those of 64-bit code. */
const IDT_32 = 0x6000;
const TSS_32 = 0x6800;
const VECTORS = 0x7000;
/** Code and data for 32 bits in the GDT. */
const CODE_32 = 0x38;
const DATA_32 = 0x40;
/** Where stacks begin. */
const STACK = RAM - 0x1000;

/** A machine in which events of every mode go on with the code. */
function arena(): FakeMachine {
  const m = new FakeMachine();
  for (let vector = 0; vector < 256; vector++) {
    const handler = CODE + 64 * vector;
    m.gate(vector, { handler, dpl: 3 });
    m.qword(IDT_32 + 8 * vector, gate(CODE_32, handler, 0xee));
    m.view.setUint32(VECTORS + 4 * vector, ((CODE >> 4) << 16) | (64 * vector), true);
  }
  m.qword(TSS + 4, STACK);
  m.view.setUint32(TSS_32 + 4, STACK, true);
  m.view.setUint32(TSS_32 + 8, DATA_32, true);
  return m;
}

/** Virtual-8086 mode, IA-32e mode, protected mode. */
const is8086 = ({ rflags }: VcpuState): boolean => (rflags & 0x20000) !== 0;
const isLong = ({ efer }: VcpuState): boolean => (efer & 0x400) !== 0;
const isProtected = ({ cr0 }: VcpuState): boolean => (cr0 & 1) !== 0;

/** `state` where there is code, with pointers to memory, and tables for its events. */
function home(state: VcpuState): VcpuState {
  const [at, zero] = [CODE, 0].map((lo) => ({ lo, hi: 0 })) as [VcpuState["rip"], VcpuState["rip"]];
  const { attributes } = segment(state, 1);
  const limit = is8086(state) ? 0xffff : attributes & 0x8000 ? 0xffffffff : 0xfffff;
  const place = is8086(state) ? { selector: CODE >> 4, base: at } : { base: zero };
  const idt = isLong(state) ? IDT : isProtected(state) ? IDT_32 : VECTORS;
  const pointer = (k: number) => ({ lo: k === 4 ? STACK : DATA + 0x1000 * k, hi: 0 });
  return {
    ...state,
    rip: is8086(state) ? { lo: 0x10, hi: 0 } : at,
    general: state.general.map((value, r) => (r >= 3 && r < 8 ? pointer(r) : value)),
    segments: state.segments.with(1, { ...segment(state, 1), limit, ...place }),
    gdtr: { base: { lo: GDT, hi: 0 }, limit: 0x47 },
    idtr: { base: { lo: idt, hi: 0 }, limit: 0xfff },
    tr: { ...state.tr, base: { lo: isLong(state) ? TSS : TSS_32, hi: 0 }, limit: 0xffff, attributes: 0x8b },
    activity: state.activity === "shutdown" ? "active" : state.activity,
    retired: 0,
  };
}

/** Runs a while, and has the events come that a machine has. */
function torment(m: FakeMachine): void {
  const { vcpu } = m;
  for (let k = 0; k < 8; k++) {
    vcpu.run(INSTRUCTIONS / 8);
    if (vcpu.activity === "wait-for-sipi") vcpu.sipi(0x10);
    if (k === 2) m.interrupt(0x40);
    if (k === 4) vcpu.nmi();
    if (k === 6) m.apic.waiting.length = 0;
  }
}

describe("a state from a stranger", () => {
  test("that is changed anywhere is refused, with nothing changed, or runs without harm", () => {
    const m = arena();
    const met = { refused: 0, ran: 0 };
    fc.assert(
      fc.property(states, fc.array(change, { minLength: 1, maxLength: 2 }), code, (state, changes, bytes) => {
        fill(m, bytes);
        if (refused(m, changed(home(state), changes)) !== null) met.refused++;
        else {
          met.ran++;
          torment(m);
        }
      }),
      { numRuns: RUNS },
    );
    expect(met.refused).toBeGreaterThan(RUNS / 4);
    expect(met.ran).toBeGreaterThan(RUNS / 20);
  });

  test("that is legal runs without harm, whatever is in memory", () => {
    const m = arena();
    let retired = 0;
    fc.assert(
      fc.property(states, code, (state, bytes) => {
        fill(m, bytes);
        expect(refused(m, home(state))).toBeNull();
        torment(m);
        retired += m.vcpu.retired;
      }),
      { numRuns: RUNS },
    );
    expect(retired).toBeGreaterThan(RUNS);
  });

  test.each([null, undefined, 1, "state", [], {}, new Uint8Array(10)])(
    "that is no state at all is refused: %s",
    (value) => {
      expect(refused(new FakeMachine(), value)).toBeInstanceOf(VcpuStateError);
    },
  );
});

/** What makes a state of 64-bit code impossible, and the field that the refusal names. */
const ROWS: readonly (readonly [name: string, change: (s: VcpuState) => object, message: RegExp])[] = [
  ["of another version", () => ({ version: 2 }), /state\.version is 2/],
  ["with a field too few", () => ({ cr0: undefined }), /state\.cr0 is undefined/],
  ["with paging without protection", (s) => ({ cr0: (s.cr0 & ~1) >>> 0 }), /CR0\.PG/],
  ["with NW without CD", (s) => ({ cr0: (s.cr0 | 0x20000000) >>> 0 }), /CR0\.NW/],
  ["with a bit of CR0 that is none", (s) => ({ cr0: (s.cr0 | 0x40) >>> 0 }), /state\.cr0/],
  ["with LMA without LME", (s) => ({ efer: s.efer & ~0x100 }), /LMA/],
  ["with LME and PG without LMA", (s) => ({ efer: s.efer & ~0x400 }), /LMA/],
  ["with LMA without PAE", (s) => ({ cr4: s.cr4 & ~0x20 }), /PAE/],
  ["with a bit of CR4 that CPUID does not offer", (s) => ({ cr4: s.cr4 | 0x1000 }), /state\.cr4/],
  ["with a bit of EFER that is none", (s) => ({ efer: s.efer | 2 }), /state\.efer/],
  ["with CR3 wider than addresses", () => ({ cr3: { lo: 0, hi: 0x100 } }), /state\.cr3\.hi.*40 bits/],
  ["with a component in XCR0 that CPUID does not offer", () => ({ xcr0: 7 }), /state\.xcr0/],
  ["without x87 in XCR0", () => ({ xcr0: 2 }), /XCR0/],
  ["with RFLAGS without bit 1", () => ({ rflags: 0 }), /state\.rflags/],
  ["with VM in IA-32e mode", () => ({ rflags: 0x20002 }), /RFLAGS\.VM/],
  ["with RIP where no instruction leads", () => ({ rip: { lo: 0, hi: 0x10000 } }), /state\.rip\.hi/],
  ["with DR7 of more than 32 bits", (s) => ({ debug: s.debug.with(5, { lo: 0x400, hi: 1 }) }), /DR7/],
  ["with reserved bits of MXCSR", () => ({ mxcsr: 0x10000 }), /state\.mxcsr/],
  ["with reserved bits of FCW", () => ({ fcw: 0xffff }), /state\.fcw/],
  ["with ES as no exception has it", () => ({ fsw: 0x8080 }), /state\.fsw/],
  ["with data in CS", (s) => ({ segments: s.segments.with(1, { ...segment(s, 1), attributes: 0xc093 }) }), /\(cs\)/],
  ["with code in SS", (s) => ({ segments: s.segments.with(2, segment(s, 1)) }), /\(ss\)/],
  [
    "with a limit that no granularity gives",
    (s) => ({ segments: s.segments.with(3, { ...segment(s, 3), limit: 5 }) }),
    /\(ds\)\.limit/,
  ],
  [
    "with a base of DS above 4 GiB",
    (s) => ({ segments: s.segments.with(3, { ...segment(s, 3), base: { lo: 0, hi: 1 } }) }),
    /\(ds\)\.base/,
  ],
  [
    "with a base of GS that is not canonical",
    (s) => ({ segments: s.segments.with(5, { ...segment(s, 5), base: { lo: 0, hi: 0x8000 } }) }),
    /\(gs\)\.base/,
  ],
  ["without a TSS", (s) => ({ tr: { ...s.tr, attributes: 0 } }), /state\.tr/],
  ["with a TSS for an LDT", (s) => ({ ldtr: s.tr }), /state\.ldtr/],
  ["with a GDT where no address is", (s) => ({ gdtr: { ...s.gdtr, base: { lo: 0, hi: 0x8000 } } }), /state\.gdtr/],
  ["halted behind STI", () => ({ activity: "hlt", shadow: "sti" }), /state\.shadow/],
  ["with a #DB for no reason there is", () => ({ debugTraps: 0x20 }), /debugTraps/],
  ["with an MSR that is none", () => ({ msrs: [{ number: 5, value: { lo: 0, hi: 0 } }] }), /MSR 5 /],
  ["with an MSR that cannot be written", () => ({ msrs: [{ number: 0x10a, value: { lo: 0, hi: 0 } }] }), /MSR 10a/],
  [
    "with an MSR that has its own field",
    () => ({ msrs: [{ number: 0xc0000100, value: { lo: 0, hi: 0 } }] }),
    /MSR c0000100/,
  ],
  ["with an MSR twice", (s) => ({ msrs: [...s.msrs, ...s.msrs.slice(0, 1)] }), /twice/],
  [
    "with LSTAR that is not canonical",
    () => ({ msrs: [{ number: 0xc0000082, value: { lo: 0, hi: 0x8000 } }] }),
    /MSR c0000082/,
  ],
  ["with a memory type that is none", () => ({ msrs: [{ number: 0x277, value: { lo: 2, hi: 0 } }] }), /MSR 277/],
  ["with more instructions retired than numbers count", () => ({ retired: 2 ** 53 }), /state\.retired/],
];

const segment = (s: VcpuState, k: number): VcpuState["tr"] => s.segments[k] as VcpuState["tr"];

describe("a state is refused, as a VM entry would (SDM vol. 3, 26.3.1)", () => {
  test.each(ROWS)("%s", (_, change, message) => {
    const m = new FakeMachine();
    const state = m.vcpu.save();
    expect(refused(m, state)).toBeNull();
    expect(refused(m, { ...state, ...change(state) })?.message).toMatch(message);
  });

  test("in virtual-8086 mode with segments that are none of it", () => {
    const m = new FakeMachine();
    const state = m.vcpu.save();
    const own = { selector: 0x100, base: { lo: 0x1000, hi: 0 }, limit: 0xffff, attributes: 0xf3 };
    const legacy = { ...state, efer: 0, cr4: 0, rflags: 0x20002, segments: Array.from({ length: 6 }, () => own) };
    expect(refused(m, legacy)).toBeNull();
    for (const wrong of [{ base: { lo: 0x1010, hi: 0 } }, { limit: 0xfffff }, { attributes: 0x93 }])
      expect(refused(m, { ...legacy, segments: legacy.segments.with(4, { ...own, ...wrong }) })?.message).toMatch(
        /\(fs\)/,
      );
  });

  test("with what the CPU it was saved on had and this one has not", () => {
    const with57 = new FakeMachine({ cpuid: withFeatures(DEFAULT_CPUID, "+la57") });
    with57.vcpu.cr4 |= 0x1000;
    const state = with57.vcpu.save();
    expect(refused(with57, state)).toBeNull();
    expect(refused(new FakeMachine(), state)?.message).toMatch(/state\.cr4/);
  });

  test("but RIP may be right behind the last canonical address, where an instruction ends", () => {
    const m = new FakeMachine();
    expect(refused(m, { ...m.vcpu.save(), rip: { lo: 0, hi: 0x8000 } })).toBeNull();
  });
});
