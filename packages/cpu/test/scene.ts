import * as S from "../src/state.js";
import { Vector } from "../src/vcpu/registers/constants.js";
import { DATA, FakeMachine, KERNEL_STACK, setReg, USER_STACK } from "./fake-machine.js";

const NAMES = new Map(Object.entries(Vector).map(([name, vector]) => [vector, name]));
/** Bits of DR6 that say what happened: B0-B3, BD, BS, BT. */
const DR6_CAUSES = 0xe00f;

/**
 * Runs `m` until it halts and tells what was delivered, in order: "#GP(10)", "#UD", "#DB 4001" with the causes in DR6, "NMI", "INTR 40",
 * "INT 80"; at the end "shutdown" if that is where it led.
 */
export function eventsOf(m: FakeMachine): string[] {
  const { vcpu } = m;
  const events: string[] = [];
  vcpu.hooks.inject = (vector, errorCode, kind) => {
    if (vector === Vector.NMI) events.push("NMI");
    else if (kind === "interrupt") events.push(`INTR ${vector.toString(16)}`);
    else if (kind === "software" && !NAMES.has(vector)) events.push(`INT ${vector.toString(16)}`);
    else {
      const code = errorCode === null ? "" : `(${errorCode.toString(16)})`;
      const cause = vector === Vector.DB ? ` ${((vcpu.dr[12] as number) & DR6_CAUSES).toString(16)}` : "";
      events.push(`#${NAMES.get(vector) ?? vector.toString(16)}${code}${cause}`);
    }
  };
  const { reason } = vcpu.run(64);
  if (reason === "shutdown") events.push(reason);
  return events;
}

/** Where the instruction under test is: at the start of a page, unless the scene says otherwise. */
export const HERE = 0x12000;
/** What the instruction before it reads. */
export const BEFORE_READS = USER_STACK;
export const BEFORE_PORT = 0x80;
/** OUTS: an instruction at whose end a trap, a breakpoint of either kind and an interrupt can all be there. */
const OUTSB = [0x6e];
/** JMP to itself: nothing happens. */
const IDLE = [0xeb, 0xfe];

/** One instruction in 64-bit mode and everything that can be wrong with it. Handlers halt; every event has a good stack. */
export class Scene {
  readonly m: FakeMachine;
  code: number[];
  before: readonly number[] = OUTSB;
  at = HERE;
  level: 0 | 3 = 3;
  flags = 2 | S.IOPL;
  rax = 0n;
  rbx = BigInt(DATA);
  rcx = 0n;
  rsp = BigInt(KERNEL_STACK);
  rbp = BigInt(DATA);
  rsi = BigInt(BEFORE_READS);
  rdi = BigInt(DATA);
  /** Changes of what the level implies: segment registers and the like. */
  readonly loads: (() => void)[] = [];
  /** Done while the instruction before writes its port. */
  readonly arrivals: (() => void)[] = [];

  constructor(code: readonly number[], m = new FakeMachine()) {
    this.code = [...code];
    this.m = m;
    for (let vector = 0; vector < 32; vector++) m.gate(vector, { ist: 1 });
    m.gate(Vector.BP, { ist: 1, dpl: 3 });
  }

  /** Breakpoint `n` at `address` with the R/W and LEN fields `field`. */
  breakpoint(n: number, address: number, field: number): void {
    const { dr } = this.m.vcpu;
    dr[2 * n] = address;
    dr[14] = (dr[14] as number) | (1 << (2 * n)) | (field << (16 + 4 * n));
  }

  /** What is delivered, first things first. */
  play(): string[] {
    const { m, before, code, at } = this;
    const { vcpu } = m;
    m.write(at - before.length, [...before, ...code, ...IDLE]);
    m.setPrivilege(vcpu, this.level);
    vcpu.rflags = this.flags;
    for (const load of this.loads) load();
    vcpu.updatePaging();
    vcpu.updateMode();
    vcpu.debugRegistersChanged();
    const registers = [this.rax, this.rcx, BigInt(BEFORE_PORT), this.rbx, this.rsp, this.rbp, this.rsi, this.rdi];
    for (const [r, value] of registers.entries()) setReg(vcpu, r, value);
    m.bus.onIoWrite = () => {
      for (const arrive of this.arrivals.splice(0)) arrive();
    };
    vcpu.setRip(at - before.length, 0);
    return eventsOf(m);
  }
}

/** Something that, alone, makes the instruction of a scene end in `event`. */
export interface Condition {
  readonly name: string;
  readonly event: string;
  /** Its class in SDM vol. 3, table 6-2, 1 to 10. */
  readonly rank: number;
  readonly apply: (s: Scene) => void;
}
