import { type Exit, Licence } from "../../src/index.js";
import * as S from "../../src/state.js";
import { Random } from "../random.js";
import { type Layout, layOut } from "./layout.js";
import {
  CODE,
  CODE_PAGES,
  DATA,
  DATA_PAGES,
  type EngineMachine,
  FIRST_INTERRUPT,
  halves,
  LAZY,
  PORT,
  STACK,
  WATCHED,
} from "./machine.js";
import { type Event, INDEX, POINTERS, type Program, TABLE, TABLE_ENTRIES } from "./program.js";

export interface Cut {
  readonly at: number;
  readonly state: Buffer;
}

/** What can be told from outside, wherever a run was cut. */
export interface Trace {
  /** Instructions retired at the cuts, and the registers there. */
  readonly cuts: readonly Cut[];
  /** The same where the run ended. */
  readonly end: Cut;
  /** Accesses to devices, exits, events and calls of hooks, each with the instructions retired by then. */
  readonly log: readonly string[];
  /** RAM at the end: the machine's, until it runs something else. */
  readonly ram: Uint8Array;
}

/** Exits at the same instruction after which a run is given up. */
const MAX_IDLE = 50;
const MAX_INSN = 15;
const TF = 0x100;
const CR0_TS = 8;
/** #NM */
const NM = 7;
const FAULTS = new Set([0, 1, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19]);

/** Where a run stops besides its events: at the cuts of the program, everywhere, nowhere. */
export interface RunOptions {
  readonly cut: boolean | "everywhere";
  /** Gives the machine to go on with at a stop, which takes over from the one there is; by default they are one. */
  readonly next?: (machine: EngineMachine) => EngineMachine;
}

export function run(program: Program, machine: EngineMachine, options: RunOptions): Trace {
  return new Run(program, machine).go(options);
}

class Run {
  readonly #program: Program;
  #m: EngineMachine;
  readonly #watched = new Set<bigint>();
  readonly #layout: Layout;
  /** Times that something was decided. */
  #decisions = 0;
  /** Exits in a row at the same instruction count. */
  #idle = 0;
  #exitedAt = -1;

  constructor(program: Program, machine: EngineMachine) {
    this.#program = program;
    this.#m = machine;
    this.#layout = layOut(program);
    machine.reset(program.base, program.cpl);
    this.#fill();
    machine.host = { handled: (vector) => this.#handled(vector), out: (port, value) => this.#out(port, value) };
    this.#observe();
  }

  #fill(): void {
    const m = this.#m;
    const { base, state, rflags } = this.#program;
    const random = new Random(state);
    let word = state | 1;
    for (let at = DATA; at < DATA + DATA_PAGES * 4096; at += 4) {
      word = (Math.imul(word, 0x915f77f5) + 0x3c6ef35f) | 0;
      m.view.setInt32(at, (word & 0xc0000000) === 0 ? word & 0xff : word ^ (word >>> 15), true);
    }
    for (let k = 0; k < TABLE_ENTRIES; k++) {
      const to = random.pick(this.#layout.parts);
      m.view.setBigUint64(TABLE + 8 * k, BigInt.asUintN(64, base + BigInt(to)), true);
    }
    // INT3 where nothing else is: who strays is brought back.
    m.ram.fill(0xcc, CODE, CODE + CODE_PAGES * 4096);
    for (const { address, bytes } of this.#layout.pieces) m.write(address, bytes);
    for (let r = 0; r < 16; r++) this.#set(r, random.oneIn(2) ? BigInt(random.below(300)) : random.word());
    this.#mend();
    const xmm = m.vcpu.bytes(S.XMM, 256);
    for (let k = 0; k < 256; k++) xmm[k] = random.below(256);
    // Numbers of ordinary size, among others.
    for (let k = 7; k < 256; k += 8)
      if (random.oneIn(2)) [xmm[k], xmm[k - 1]] = [random.oneIn(2) ? 0x3f : 0xbf, 0xe0 + random.below(32)];
    for (let k = 3; k < 256; k += 16) if (random.oneIn(2)) xmm[k] = 0x3e + random.below(3);
    m.vcpu.rflags = rflags;
    m.vcpu.updateMode();
    this.#jump(this.#layout.start);
  }

  #set(register: number, value: bigint): void {
    const [lo, hi] = halves(value);
    this.#m.vcpu.setReg(register, lo, hi);
  }

  /** Pointers as they should be. */
  #mend(): void {
    for (const [register, address] of POINTERS) this.#set(register, this.#program.base + BigInt(address));
    this.#set(INDEX, 5n);
    this.#set(4, this.#program.base + BigInt(STACK));
    this.#set(1, 7n);
  }

  #jump(address: number): void {
    const [lo, hi] = halves(this.#program.base + BigInt(address));
    this.#m.vcpu.setRip(lo, hi);
  }

  #note(text: string): void {
    this.#m.log.push(`${this.#m.retired} ${text}`);
  }

  /** Goes on on another machine, with what the host has asked of the one there was. */
  #move(machine: EngineMachine): void {
    if (machine === this.#m) return;
    machine.continueFrom(this.#m);
    this.#m = machine;
    this.#observe();
    for (const address of this.#watched) machine.vcpu.watchCode(...halves(address), true);
  }

  #observe(): void {
    const { vcpu } = this.#m;
    // Leaves now and then, and goes on the next time.
    const leaves = (): false | undefined => (this.#decisions++ % 5 === 0 ? vcpu.leave() : undefined);
    vcpu.hooks = {
      execute: (address) => {
        this.#note(`execute ${address.toString(16)}`);
        leaves();
      },
      mmio: (gpa, size, write, value) => {
        this.#note(`mmio ${gpa.toString(16)} ${size} ${write} ${value}`);
        return leaves();
      },
      pageAccess: (gfn, access, address) => {
        this.#note(`access ${gfn} ${access} ${address.toString(16)}`);
        if (this.#decisions++ % 3 === 0) this.#m.map(WATCHED, { withheld: 0 });
        else if (this.#decisions % 3 === 1) return false;
        else vcpu.raiseError(13, 0);
        return true;
      },
      inject: (vector, errorCode, kind, address) => {
        this.#note(`inject ${vector} ${errorCode} ${kind} ${address}`);
      },
      singleStep: () => this.#note("step"),
      cpuid: (leaf) => {
        this.#note(`cpuid ${leaf}`);
      },
      syscall: () => {
        this.#note("syscall");
        return false;
      },
      hypercall: () => {
        this.#note("hypercall");
        return this.#decisions++ % 2 === 0;
      },
      breakpoint: () => {
        this.#note("breakpoint");
        return this.#decisions++ % 2 === 0;
      },
    };
  }

  /** A handler has begun: the guest goes on behind the instruction that failed, or somewhere. */
  #handled(vector: number): void {
    const m = this.#m;
    const at = m.frame(vector);
    const rip = m.view.getBigUint64(at, true);
    let flags = m.view.getUint32(at + 16, true);
    this.#note(`handler ${vector} at ${rip.toString(16)}`);
    const decision = this.#decisions++;
    if (vector === 14 && this.#m.mmu.place(LAZY).absent === true) m.map(LAZY, { absent: false });
    else if (FAULTS.has(vector) || vector === 3) {
      const where = Number(BigInt.asIntN(64, rip - this.#program.base));
      m.view.setBigUint64(at, BigInt.asUintN(64, this.#program.base + BigInt(this.#behind(where, decision))), true);
    }
    if (vector === NM && decision % 2 === 0) this.#switched(false);
    if (vector === 1 && decision % 4 === 0) flags &= ~TF;
    // The instruction that a breakpoint is at is executed once.
    if (vector === 1) flags |= 0x10000;
    m.view.setUint32(at + 16, flags, true);
    if (decision % 2 === 0) return;
    const stack = [m.vcpu.regLo(4), m.vcpu.regHi(4)] as const;
    this.#mend();
    m.view.setBigUint64(at + 24, BigInt.asUintN(64, this.#program.base + BigInt(STACK)), true);
    // RSP is the handler's still.
    const [lo, hi] = stack;
    m.vcpu.setReg(4, lo, hi);
  }

  /** The next instruction behind an address in the code; anyone elsewhere. */
  #behind(address: number, decision: number): number {
    const { instructions } = this.#layout;
    const next = instructions.find((other) => other > address);
    if (next !== undefined && next < address + MAX_INSN && decision % 8 !== 0) return next;
    return instructions[decision % instructions.length] as number;
  }

  #out(port: number, value: number): void {
    const m = this.#m;
    switch (port) {
      case PORT.interrupt:
        m.interrupt(FIRST_INTERRUPT + (value & 7));
        break;
      case PORT.unmap:
        m.map(LAZY, { absent: true });
        break;
      case PORT.turn:
        this.#remap(this.#decisions++);
        break;
      case PORT.step:
        m.vcpu.singleStep = !m.vcpu.singleStep;
        m.vcpu.endSlice();
        break;
      case PORT.rewrite:
        this.#device(this.#decisions++ * 0x55);
        break;
      default:
    }
  }

  /** Another frame behind a page of code, or the old one again. */
  #remap(a: number): void {
    const m = this.#m;
    const page = CODE + (a % CODE_PAGES) * 4096;
    const other = CODE + ((a >> 3) % CODE_PAGES) * 4096;
    const { gfn } = m.mmu.place(page);
    m.map(page, { gfn: m.mmu.place(other).gfn });
    m.map(other, { gfn });
  }

  /** A device writes into an instruction. */
  #device(a: number): void {
    const { instructions } = this.#layout;
    const address = (instructions[a % instructions.length] as number) + ((a >> 8) & 3);
    this.#m.write(address, [a >> 4]);
  }

  #event({ what, a }: Event): void {
    const m = this.#m;
    const { vcpu } = m;
    const code = this.#program.base + BigInt(this.#layout.instructions[a % this.#layout.instructions.length] as number);
    const data = this.#program.base + BigInt(DATA + (a & 0x3ff8));
    switch (what) {
      case "interrupt":
        m.interrupt(FIRST_INTERRUPT + (a & 63));
        break;
      case "nmi":
        vcpu.nmi();
        break;
      case "device":
        this.#device(a);
        break;
      case "unmap":
        m.map(LAZY, { absent: true });
        break;
      case "remap":
        this.#remap(a);
        break;
      case "watch":
        vcpu.watchCode(...halves(code), true);
        this.#watched.add(code);
        break;
      case "unwatch":
        vcpu.unwatchCode();
        this.#watched.clear();
        break;
      case "withhold":
        m.map(a & 1 ? WATCHED : DATA + 0x1000, { withheld: a & 2 ? Licence.Write : Licence.Write | Licence.Read });
        break;
      case "allow":
        m.map(WATCHED, { withheld: 0 });
        m.map(DATA + 0x1000, { withheld: 0 });
        break;
      case "task":
        this.#switched(true);
        break;
      case "trap":
        vcpu.rflags |= TF;
        break;
      case "step":
        vcpu.singleStep = !vcpu.singleStep;
        break;
      case "codepoint":
        this.#debug(code, 0);
        break;
      case "datapoint":
        this.#debug(data, a & 1 ? 0xd : 0xf);
        break;
      case "nopoints":
        this.#debug(0n, -1);
    }
  }

  /** CR0.TS: x87 and SSE are somebody else's, and #NM follows their use. */
  #switched(on: boolean): void {
    const { vcpu } = this.#m;
    vcpu.cr0 = on ? vcpu.cr0 | CR0_TS : vcpu.cr0 & ~CR0_TS;
    vcpu.updateUnits();
  }

  /** DR0 and DR7: type and length of a breakpoint at `address`, none if that is -1. */
  #debug(address: bigint, kind: number): void {
    const { vcpu } = this.#m;
    [vcpu.dr[0], vcpu.dr[1]] = halves(address);
    vcpu.dr[14] = kind < 0 ? 0x400 : 0x402 | (kind << 16);
    vcpu.debugRegistersChanged();
  }

  go({ cut, next = (machine) => machine }: RunOptions): Trace {
    const { events, length } = this.#program;
    const cuts = cut === "everywhere" ? Array.from({ length }, (_, k) => k) : cut ? this.#program.cuts : [];
    const stops = [...new Set([...events.map(({ at }) => at), ...cuts])].filter((at) => at < length);
    stops.sort((a, b) => a - b);
    const taken: Cut[] = [];
    for (const stop of stops) {
      if (!this.#until(stop)) break;
      taken.push({ at: this.#m.retired, state: this.#registers() });
      for (const event of events) if (event.at === stop) this.#event(event);
      this.#move(next(this.#m));
    }
    if (taken.length === stops.length) this.#until(length);
    const m = this.#m;
    const end = { at: m.retired, state: this.#registers() };
    return { cuts: taken, end, log: [...m.log], ram: m.ram };
  }

  /** @returns false if the machine does not go on */
  #until(stop: number): boolean {
    const m = this.#m;
    while (m.retired < stop) {
      const before = m.retired;
      const exit = m.vcpu.run(stop - before);
      if (exit.reason === "budget" && m.retired > before) continue;
      this.#exit(exit);
      this.#idle = m.retired === this.#exitedAt ? this.#idle + 1 : 0;
      this.#exitedAt = m.retired;
      if (exit.reason === "shutdown" || this.#idle > MAX_IDLE) {
        this.#note("end");
        return false;
      }
    }
    return true;
  }

  #exit(exit: Exit): void {
    this.#note(`exit ${exit.reason}`);
    if (exit.reason === "hlt") this.#m.vcpu.nmi();
    if (exit.reason !== "memory-fault") return;
    for (const page of [WATCHED, DATA + 0x1000]) this.#m.map(page, { withheld: 0 });
  }

  #registers(): Buffer {
    const { vcpu } = this.#m;
    const words = new Int32Array([
      vcpu.i32(S.PC),
      vcpu.i32(S.PC + 4),
      vcpu.rflags,
      vcpu.i32(S.MXCSR),
      vcpu.cr2Lo,
      vcpu.cr2Hi,
      vcpu.cr0,
      vcpu.cr4,
      vcpu.cpl,
      ...vcpu.dr,
      ...vcpu.segments.flatMap(({ selector, baseLo, baseHi }) => [selector, baseLo, baseHi]),
      vcpu.activity.length,
    ]);
    // FXSAVE's view: registers, control, status, tags and what follows them.
    return Buffer.concat([
      Buffer.from(words.buffer),
      vcpu.bytes(S.GPR, 128),
      vcpu.bytes(S.XMM, 256),
      vcpu.bytes(S.FPR, 0xa0),
    ]);
  }
}
