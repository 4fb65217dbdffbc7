import type { Errno } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { VerifierBtf } from "./btf-port.js";
import { type Kind, markPrecise, type Reg } from "./reg.js";
import type { ObjectField, VerifierMap, VerifyRequest } from "./request.js";
import { type Frame, SLEEPING_CALLSITE, type State } from "./state.js";

/** Ends the verification: the program is refused. The log says why. */
export class Rejection extends Error {
  override readonly name = "Rejection";
  constructor(readonly code: Errno) {
    super(code);
  }
}

/** What is known of one instruction over all paths. */
export interface Aux {
  prunePoint: boolean;
  /** Control comes here by a jump, a call or a return. */
  jumpPoint: boolean;
  /** A state is kept here every time. */
  checkpoint: boolean;
  /** A call that runs a callback before it returns. */
  callsCallback: boolean;
  /** Asks an iterator for the next element. */
  nextsIterator: boolean;
  /** Some path reached it. */
  seen: boolean;
  /** What the pointer of a load or store is: the same kind on all paths where the fix-up depends on it. */
  pointer: { readonly kind: Kind; readonly mods: number } | undefined;
  /** The load may fault: becomes a probe load. */
  probe: boolean;
  map: VerifierMap | undefined;
  /** What the address of a symbol of the kernel points to. */
  symbol: Reg | undefined;
  /** Offset into the value, of a direct value load. */
  mapOffset: number;
  /** A storage call of a sleepable program that must not sleep. */
  atomicStorage: boolean;
  sleepingStorage: boolean;
}

export interface Subprogram {
  readonly start: number;
  end: number;
  stackDepth: number;
  hasTailCall: boolean;
  hasLdAbs: boolean;
  isCallback: boolean;
  isAsyncCallback: boolean;
  changesPacket: boolean;
  /** It, or what it calls, may sleep, or throw. */
  mightSleep: boolean;
  mightThrow: boolean;
  /** Linkage and type from the function information. */
  info:
    | {
        readonly id: number;
        readonly name: string;
        readonly proto: number;
        readonly linkage: "static" | "global" | "extern";
      }
    | undefined;
}

/** Most instructions that are looked at, over all paths. */
export const MAX_PROCESSED = 1_000_000;
/** Most branches that wait to be looked at. */
export const MAX_PENDING = 8192;

/** A path that waits. */
export interface Pending {
  readonly state: State;
  readonly pc: number;
  readonly previous: number;
  /** Where the log stood: it is cut back to here when the path that pushed it was fine. */
  readonly log: number;
}

/** BPF_CGROUP_INET_SOCK_CREATE. */
const SOCK_CREATE = 2;

/** All that one verification shares. */
export class Env {
  readonly insns: Insn[];
  readonly aux: Aux[];
  subprograms: Subprogram[] = [];
  readonly usedMaps: VerifierMap[] = [];
  readonly pending: Pending[] = [];
  /** Global functions that are called, and must be verified. */
  readonly calledGlobals = new Set<number>();
  readonly explored = new Map<number, { state: State; hits: number; misses: number }[]>();
  state!: State;
  pc = 0;
  ids = 0;
  processed = 0;
  jumps = 0;
  states = 0;
  peakStates = 0;
  currentStates = 0;
  /** Jumps and instructions at the time of the last state that was kept. */
  lastJumps = 0;
  lastProcessed = 0;
  maxStatesPerInsn = 0;
  /** Live registers before each instruction, bit by register. */
  live: Uint16Array = new Uint16Array(0);
  readonly type: ProgramType;
  readonly attachType: number;
  stepNoted = false;
  /** Fields of structs of the program, once they were asked for. */
  readonly objectFields = new Map<VerifierBtf, Map<number, readonly ObjectField[]>>();
  /** Function that an exception ends in; 0: the program ends with what was thrown. */
  exceptionCallback = 0;
  /** Bytes of the context that the program may touch. */
  contextSize = 0;
  readonly bufferAccess = { rdonly: 0, rdwr: 0, tracepoint: 0 };
  private text: string[] = [];

  constructor(readonly request: VerifyRequest) {
    this.insns = [...request.insns];
    this.aux = this.insns.map(() => ({
      prunePoint: false,
      jumpPoint: false,
      checkpoint: false,
      callsCallback: false,
      nextsIterator: false,
      seen: false,
      pointer: undefined,
      probe: false,
      map: undefined,
      symbol: undefined,
      mapOffset: 0,
      atomicStorage: false,
      sleepingStorage: false,
    }));
    this.type = request.type;
    const attach = request.expectedAttachType ?? 0;
    // Loaders of old left it out: cgroup/sock programs without one are for the creation of sockets.
    this.attachType = attach === 0 && request.type === ProgramType.CgroupSock ? SOCK_CREATE : attach;
  }

  get frame(): Frame {
    return this.state.frame;
  }
  get regs(): Reg[] {
    return this.state.frame.regs;
  }
  reg(index: number): Reg {
    return this.state.frame.regs[index] as Reg;
  }
  set(index: number, value: Reg): void {
    this.state.frame.regs[index] = value;
  }
  /** Where states before `pc` are kept: those of different calls of a function apart. */
  place(pc: number, frame: Frame): number {
    return pc + (frame.callsite + 1) * this.insns.length;
  }
  insnAt(pc: number): Insn {
    return this.insns[pc] as Insn;
  }
  get insn(): Insn {
    return this.insns[this.pc] as Insn;
  }
  auxAt(pc: number): Aux {
    return this.aux[pc] as Aux;
  }
  newId(): number {
    return ++this.ids;
  }

  /** Whether the code at hand may sleep: not in the functions of timers, and always in those of work queues. */
  get sleepable(): boolean {
    const at: State | undefined = this.state;
    if ((at?.asyncEntry ?? 0) > 0) return at.frames[0]?.callsite === SLEEPING_CALLSITE;
    return this.request.sleepable === true;
  }
  /** Whether RCU protects what the program sees: always, but in sleepable programs. */
  get inRcu(): boolean {
    return this.state.rcuDepth > 0 || this.state.lock !== undefined || !this.sleepable;
  }
  get isIterator(): boolean {
    return this.type === ProgramType.Tracing && this.attachType === AttachType.TraceIter;
  }
  get hasTrampoline(): boolean {
    return (
      this.type === ProgramType.Lsm ||
      (this.type === ProgramType.Tracing &&
        (this.attachType === AttachType.TraceFentry ||
          this.attachType === AttachType.TraceFexit ||
          this.attachType === AttachType.ModifyReturn))
    );
  }

  /** Writes a line of the log. */
  say(line: string): void {
    this.text.push(`${line}\n`);
  }
  get logPosition(): number {
    return this.text.length;
  }
  cutLog(position: number): void {
    this.text.length = position;
  }
  get log(): string {
    return this.text.join("");
  }

  /** Refuses the program. */
  fail(code: Errno, line?: string): never {
    if (line !== undefined) this.say(line);
    throw new Rejection(code);
  }

  /** Does something; where that refuses the program, says what it was part of. */
  within(line: string, check: () => void): void {
    try {
      check();
    } catch (error) {
      if (error instanceof Rejection) this.say(line);
      throw error;
    }
  }

  /** Whether types are those of the kernel, not of a program. */
  isKernelBtf(btf: VerifierBtf | undefined): boolean {
    return btf !== undefined && (btf === this.request.kernelBtf || btf.isKernel === true);
  }

  /** Counts the instruction at hand as a step of the path that a kernel would remember; once. */
  noteStep(): void {
    if (this.stepNoted) return;
    this.stepNoted = true;
    this.state.steps++;
  }

  /** Marks the number in a register as one that a decision rests on. */
  precise(index: number): void {
    markPrecise(this.reg(index));
  }

  subprogramAt(pc: number): number {
    return this.subprograms.findIndex((subprogram) => subprogram.start === pc);
  }
  subprogramOf(pc: number): Subprogram {
    return this.subprograms.find((subprogram) => pc >= subprogram.start && pc < subprogram.end) as Subprogram;
  }
}

/** Registers are named in messages by number. */
export const checkReadable = (env: Env, index: number): Reg => {
  if (index > 10) env.fail("EINVAL", `R${index} is invalid`);
  const reg = env.reg(index);
  if (reg.kind === "?") env.fail("EACCES", `R${index} !read_ok`);
  return reg;
};

/** The frame pointer is never written. */
export const checkWritable = (env: Env, index: number): void => {
  if (index > 10) env.fail("EINVAL", `R${index} is invalid`);
  if (index === 10) env.fail("EACCES", "frame pointer is read only");
};
