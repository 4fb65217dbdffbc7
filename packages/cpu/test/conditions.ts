import * as S from "../src/state.js";
import { Seg } from "../src/vcpu/registers/constants.js";
import { DATA } from "./fake-machine.js";
import { BEFORE_PORT, BEFORE_READS, type Condition, HERE, type Scene } from "./scene.js";

/** Conditions that the tables of exception priorities are made of. */

export const RECORDED = "recorded from a processor";

export const NON_CANONICAL = 1n << 47n;
/** R/W and LEN fields of DR7. */
export const EXECUTE = 0;
export const IO1 = 2;
export const READ_WRITE1 = 3;
export const CR0_EM = 4;
export const CR0_TS = 8;
export const CR0_AM = 0x40000;
export const CR4_DE = 8;
export const CR4_OSXMMEXCPT = 0x400;

export const condition = (rank: number, name: string, event: string, apply: (s: Scene) => void): Condition => ({
  rank,
  name,
  event,
  apply,
});
/** A condition that is in the instruction itself. */
export const always = (rank: number, name: string, event: string): Condition =>
  condition(rank, name, event, () => undefined);

// What the instruction before leaves, and what arrives meanwhile

export const singleStep = condition(4, "single step", "#DB 4000", (s) => {
  s.flags |= S.TF;
});
export const dataBreakpoint = condition(4, "data breakpoint", "#DB 1", (s) =>
  s.breakpoint(0, BEFORE_READS, READ_WRITE1),
);
export const portBreakpoint = condition(4, "I/O breakpoint", "#DB 1", (s) => {
  s.m.vcpu.cr4 |= CR4_DE;
  s.breakpoint(0, BEFORE_PORT, IO1);
});
export const nmi = condition(5, "NMI", "NMI", (s) => s.arrivals.push(() => s.m.vcpu.nmi()));
export const interrupt = condition(6, "interrupt", "INTR 40", (s) => {
  s.flags |= S.IF;
  s.arrivals.push(() => s.m.interrupt(0x40));
});

// Fetching and decoding

export const codeBreakpoint = condition(7, "code breakpoint", "#DB 2", (s) => {
  s.loads.push(() => s.breakpoint(1, s.at, EXECUTE));
});
export const fetchFault = condition(8, "code page absent", "#PF(14)", (s) => s.m.map(HERE, { absent: true }));
/** The instruction starts `n` bytes before the page of `HERE`, which is absent. */
export const fetchFaultAfter = (n: number): Condition =>
  condition(8, `code page absent after ${n} bytes`, "#PF(14)", (s) => {
    s.at = HERE - n;
    s.m.map(HERE, { absent: true });
  });
export const codeLimit = condition(8, "beyond the limit of CS", "#GP(0)", (s) => {
  s.loads.push(() => reload(s, Seg.CS, { limit: HERE - 1 }));
});
export const lock = condition(9, "LOCK not allowed", "#UD", (s) => s.code.unshift(0xf0));
export const emulation = condition(9, "CR0.EM", "#UD", (s) => {
  s.m.vcpu.cr0 |= CR0_EM;
});
export const taskSwitched = condition(9, "CR0.TS", "#NM", (s) => {
  s.m.vcpu.cr0 |= CR0_TS;
});
/** Other bytes, that are no instruction. */
export const undefinedForm = (name: string, code: readonly number[]): Condition =>
  condition(9, name, "#UD", (s) => {
    s.code = [...code];
  });

// Executing

export const x87Pending = condition(10, "x87 exception pending", "#MF", (s) => {
  s.m.vcpu.setU16(S.FCW, 0x37b);
  s.m.vcpu.setU16(S.FSW, 0x8084);
});
export const nonCanonical = condition(10, "non-canonical operand", "#GP(0)", (s) => {
  s.rbx |= NON_CANONICAL;
});
export const misaligned = condition(10, "misaligned operand, checked", "#AC(0)", (s) => {
  s.m.vcpu.cr0 |= CR0_AM;
  s.flags |= S.AC;
  s.rbx |= 1n;
});
export const misaligned16 = condition(10, "operand not 16-byte aligned", "#GP(0)", (s) => {
  s.rbx |= 8n;
});
export const absent = (code: number): Condition =>
  condition(10, "operand page absent", `#PF(${code})`, (s) => s.m.map(DATA, { absent: true }));
export const readOnly = condition(10, "operand page read-only", "#PF(7)", (s) => s.m.map(DATA, { readOnly: true }));
export const privileged = condition(10, "CPL 3", "#GP(0)", (s) => {
  s.level = 3;
});

/** Changes a segment register after the level was set. */
export function reload({ m: { vcpu } }: Scene, seg: Seg, change: Partial<(typeof vcpu.segments)[number]>): void {
  const now = vcpu.segments[seg];
  if (now !== undefined) vcpu.setSegment(seg, { ...now, ...change });
}

/** The scene is one of 32-bit code in compatibility mode. */
export const compatibility = (s: Scene): void => {
  s.loads.push(() => reload(s, Seg.CS, { attributes: 0xc0fb }));
};
export const atLevel0 = (s: Scene): void => {
  s.level = 0;
};

/** The 2 bytes at the operand. */
export const word =
  (value: number) =>
  (s: Scene): void => {
    s.m.view.setUint16(DATA, value, true);
  };

/** The operand is a signalling NaN, and nothing is masked. */
export function signalling({ m }: Scene): void {
  m.view.setUint32(DATA, 0x7f800001, true);
  m.vcpu.setI32(S.MXCSR, 0);
}

export const sourceAbsent = condition(10, "source page absent", "#PF(4)", (s) =>
  s.m.map(DATA + 0x1000, { absent: true }),
);
export const sourceNonCanonical = condition(10, "source not canonical", "#GP(0)", (s) => {
  s.rsi |= NON_CANONICAL;
});
export const targetAddressNonCanonical = condition(10, "destination not canonical", "#GP(0)", (s) => {
  s.rdi |= NON_CANONICAL;
});
/** String instructions: the source on a page of its own, nothing before that uses RSI. */
export const strings = (s: Scene): void => {
  s.before = [0x90];
  s.rsi = BigInt(DATA + 0x1000);
  s.rcx = 3n;
};
