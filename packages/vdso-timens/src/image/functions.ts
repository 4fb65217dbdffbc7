import {
  type Assembler,
  cl,
  eax,
  ecx,
  edi,
  edx,
  type Label,
  mem,
  r8,
  r9,
  r9d,
  r10,
  r11,
  r11d,
  rax,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
  short,
} from "@vm/asm";
import { ClockId, COARSE, HIGH_RESOLUTION, NSEC_PER_SEC, RAW } from "../clocks.js";
import { ClockMode, PAGE, type VvarAbi } from "../vvar/abi.js";
import { PVCLOCK, PVCLOCK_TSC_STABLE } from "../vvar/pvclock.js";

/** What the code is made for. */
export interface CodeOptions {
  readonly abi: VvarAbi;
  /** Resolution of the coarse clocks, nanoseconds. */
  readonly tickNs: number;
  /** How a CPU tells its number: RDPID, or LSL of the per-CPU segment. */
  readonly cpuNumber: "lsl" | "rdpid";
}

/** A function of the image. */
export interface VdsoFunction {
  /** Without `__vdso_`. */
  readonly name: string;
  readonly emit: (code: Code) => void;
}

/** Numbers of system calls that stand in where the pages do not tell. */
const SYS = { gettimeofday: 96, time: 201, clock_gettime: 228, clock_getres: 229, getcpu: 309 };
/** Selector of the segment whose limit is the CPU's number (`GDT_ENTRY_CPUNODE`, RPL 3). */
const CPUNODE_SEG = 0x7b;
const CPU_BITS = 12;

/**
 * One function being written. Within it: `r8` the clock structure, `r11` 16 x the clock, `r9d` the sequence, `r10` the structure in the
 * namespace's page or 0. Arguments stay in `rdi` and `rsi`. Nothing is pushed and nothing called, so that unwinding is trivial and any stack will do.
 */
export class Code {
  readonly #image: Label;

  /** @param image bound to the first byte of the image */
  constructor(
    readonly a: Assembler,
    image: Label,
    readonly options: CodeOptions,
  ) {
    this.#image = image;
  }

  /** Bytes from a page below the image to the image. */
  #below(page: VvarAbi["pages"][number]): number {
    const { pages } = this.options.abi;
    return (pages.length - pages.indexOf(page)) * PAGE;
  }

  /** An address in a page below the image. */
  at(page: VvarAbi["pages"][number], offset: number, size = 0) {
    return mem(this.#image, { disp: offset - this.#below(page), size });
  }

  /** From what is in the slot `time` to the same in the slot `timens`. */
  get toReal(): number {
    return this.#below("time") - this.#below("timens");
  }

  /** A field of the clock structure. */
  field(name: "seq" | "mode" | "cycleLast" | "mult" | "shift", size = 0) {
    return mem(r8, { disp: this.options.abi.fields[name], size });
  }

  /** Seconds, or with 8 nanoseconds, of the clock in a structure. */
  base(structure: typeof r8, offset: number) {
    return mem(structure, { index: r11, disp: this.options.abi.fields.bases + offset });
  }

  /** Leaves by the system call of the same arguments. */
  systemCall(number: number): void {
    this.a.mov(eax, number).syscall().ret();
  }

  /** `r8` := the first clock structure of the real page. */
  realClocks(): void {
    const { a } = this;
    const real = a.label("real");
    a.lea(r8, this.at("time", this.options.abi.clocks));
    a.cmp(this.field("mode", 4), ClockMode.Timens).jne(short(real));
    a.add(r8, this.toReal);
    a.bind(real);
  }

  /**
   * `rdx` := seconds and `rax` := nanoseconds of the clock, as one reading that no writer has disturbed (`lib/vdso/gettimeofday.c`: `do_hres`,
   * `do_coarse` and their `_timens`). A namespace's page leads on to the real one, and its offset is added.
   * @param cycles puts shifted nanoseconds since the base into `rax`, null for a coarse clock
   */
  reading(counts: { readonly otherwise: Label } | null): void {
    const { a } = this;
    const [again, odd, wait, plain, done] = ["again", "odd", "wait", "plain", "done"].map((name) => a.label(name)) as [
      Label,
      Label,
      Label,
      Label,
      Label,
    ];
    const read = a.label("read");
    a.xor(r10, r10);
    a.bind(again);
    a.mov(r9d, this.field("seq"));
    a.test(r9d, 1).jnz(odd);
    a.bind(read);
    if (counts === null) a.mov(rax, this.base(r8, 8));
    else this.#nanoseconds(counts.otherwise);
    a.mov(rdx, this.base(r8, 0));
    a.cmp(this.field("seq"), r9d).jne(again);
    a.test(r10, r10).jz(short(plain));
    a.add(rdx, this.base(r10, 0)).add(rax, this.base(r10, 8));
    a.bind(plain);
    a.cmp(rax, NSEC_PER_SEC).jb(done);
    a.sub(rax, NSEC_PER_SEC).inc(rdx);
    a.cmp(rax, NSEC_PER_SEC).jb(short(done));
    // A page that has not been written for seconds, or holds anything at all.
    a.mov(r9, rdx).xor(edx, edx).mov(ecx, NSEC_PER_SEC).div(rcx);
    a.lea(r9, mem(r9, { index: rax }))
      .mov(rax, rdx)
      .mov(rdx, r9)
      .jmp(short(done));
    a.bind(odd);
    a.test(r10, r10).jnz(short(wait));
    a.cmp(this.field("mode", 4), ClockMode.Timens).jne(short(wait));
    a.mov(r10, r8).add(r8, this.toReal).jmp(again);
    a.bind(wait);
    a.pause().jmp(again);
    a.bind(done);
  }

  /** `rax` := nanoseconds of the clock since its second began, from the counter. */
  #nanoseconds(otherwise: Label): void {
    const { a } = this;
    const { fields } = this.options.abi;
    const [other, counted, scaled] = [a.label("other"), a.label("counted"), a.label("scaled")];
    a.mov(eax, this.field("mode"));
    a.cmp(eax, ClockMode.Tsc).jne(other);
    this.#tsc();
    const cycles = a.here("cycles");
    a.sub(rax, this.field("cycleLast"));
    if (fields.maxCycles === null) {
      // Another CPU may be behind.
      a.jae(short(counted)).xor(eax, eax);
      a.bind(counted);
      a.mov(ecx, this.field("mult")).imul(rax, rcx);
      a.add(rax, this.base(r8, 8));
      a.mov(ecx, this.field("shift")).shr(rax, cl);
      a.bind(scaled);
    } else {
      a.cmp(rax, mem(r8, { disp: fields.maxCycles })).ja(counted);
      a.mov(ecx, this.field("mult")).imul(rax, rcx);
      a.add(rax, this.base(r8, 8));
      a.mov(ecx, this.field("shift")).shr(rax, cl);
      a.bind(scaled);
    }
    this.#aside.push(() => {
      if (fields.maxCycles !== null) {
        // Backwards, or so far that 64 bits do not hold the product.
        const forward = a.label("forward");
        a.bind(counted);
        a.bt(rax, 62).jnc(short(forward)).xor(eax, eax);
        a.bind(forward);
        a.btr(rax, 63);
        a.mov(ecx, this.field("mult")).mul(rcx);
        a.add(rax, this.base(r8, 8)).adc(rdx, 0);
        a.mov(ecx, this.field("shift")).shrd(rax, rdx, cl);
        a.jmp(scaled);
      }
      a.bind(other);
      a.cmp(eax, ClockMode.Pvclock).jne(otherwise);
      this.#pvclock(cycles, otherwise);
    });
  }

  /** Code that seldom runs, for behind the function. */
  readonly #aside: (() => void)[] = [];

  /** Writes what was put aside. */
  finish(): void {
    for (const write of this.#aside.splice(0)) write();
  }

  /** `rax` := the time-stamp counter, not read before what is in front of it; `rdx` is lost. */
  #tsc(): void {
    this.a.lfence().rdtsc().shl(rdx, 32).or(rax, rdx);
  }

  /** `rax` := nanoseconds of kvmclock (`arch/x86/include/asm/pvclock.h`), then to `cycles`. The version waits in the red zone. */
  #pvclock(cycles: Label, otherwise: Label): void {
    const { a } = this;
    const field = (offset: number, size = 0) => this.at("pvclock", offset, size);
    const version = mem(rsp, { disp: -8 });
    const [right, shifted] = [a.label("right"), a.label("shifted")];
    const again = a.here("pvclock");
    a.mov(ecx, field(PVCLOCK.version)).and(ecx, -2).mov(version, ecx);
    a.test(field(PVCLOCK.flags, 1), PVCLOCK_TSC_STABLE).jz(otherwise);
    this.#tsc();
    a.sub(rax, field(PVCLOCK.tscTimestamp));
    a.movsx(ecx, field(PVCLOCK.tscShift, 1)).test(ecx, ecx).js(short(right));
    a.shl(rax, cl).jmp(short(shifted));
    a.bind(right);
    a.neg(ecx).shr(rax, cl);
    a.bind(shifted);
    a.mov(edx, field(PVCLOCK.tscToSystemMul)).mul(rdx).shrd(rax, rdx, 32);
    a.add(rax, field(PVCLOCK.systemTime));
    a.mov(ecx, version).cmp(field(PVCLOCK.version), ecx).jne(again);
    a.test(rax, rax).js(otherwise);
    a.jmp(cycles);
  }
}

/** `int clock_gettime(clockid_t, struct timespec *)` */
const clockGettime: VdsoFunction = {
  name: "clock_gettime",
  emit: (code) => {
    const { a } = code;
    const { clocks, stride } = code.options.abi;
    const [high, coarse, call, found] = [a.label("high"), a.label("coarse"), a.label("call"), a.label("found")];
    a.cmp(edi, 15).ja(call);
    a.mov(ecx, edi).mov(r11d, edi).shl(r11d, 4);
    a.mov(eax, 1).shl(eax, cl);
    a.lea(r8, code.at("time", clocks));
    a.test(eax, HIGH_RESOLUTION).jnz(short(high));
    a.test(eax, COARSE).jnz(coarse);
    a.test(eax, RAW).jz(call);
    a.add(r8, stride);
    a.bind(high);
    code.reading({ otherwise: call });
    a.bind(found);
    a.mov(mem(rsi), rdx)
      .mov(mem(rsi, { disp: 8 }), rax)
      .xor(eax, eax)
      .ret();
    a.bind(coarse);
    code.reading(null);
    a.jmp(found);
    code.finish();
    a.bind(call);
    code.systemCall(SYS.clock_gettime);
  },
};

/** `int gettimeofday(struct timeval *, struct timezone *)` */
const gettimeofday: VdsoFunction = {
  name: "gettimeofday",
  emit: (code) => {
    const { a } = code;
    const { clocks, zone } = code.options.abi;
    const [noTime, noZone, call] = [a.label("noTime"), a.label("noZone"), a.label("call")];
    a.test(rdi, rdi).jz(noTime);
    a.lea(r8, code.at("time", clocks)).xor(r11d, r11d);
    code.reading({ otherwise: call });
    a.mov(mem(rdi), rdx)
      .xor(edx, edx)
      .mov(ecx, 1000)
      .div(ecx)
      .mov(mem(rdi, { disp: 8 }), rax);
    a.bind(noTime);
    a.test(rsi, rsi).jz(short(noZone));
    code.realClocks();
    a.mov(rax, mem(r8, { disp: zone - clocks })).mov(mem(rsi), rax);
    a.bind(noZone);
    a.xor(eax, eax).ret();
    code.finish();
    a.bind(call);
    code.systemCall(SYS.gettimeofday);
  },
};

/** `time_t time(time_t *)`: one read, which cannot be torn. */
const time: VdsoFunction = {
  name: "time",
  emit: (code) => {
    const { a } = code;
    const none = a.label("none");
    code.realClocks();
    a.mov(rax, mem(r8, { disp: code.options.abi.fields.bases + 16 * ClockId.Realtime }));
    a.test(rdi, rdi).jz(short(none)).mov(mem(rdi), rax);
    a.bind(none);
    a.ret();
  },
};

/** `int clock_getres(clockid_t, struct timespec *)` */
const clockGetres: VdsoFunction = {
  name: "clock_getres",
  emit: (code) => {
    const { a } = code;
    const { clocks, resolution } = code.options.abi;
    const [call, high, store, none] = [a.label("call"), a.label("high"), a.label("store"), a.label("none")];
    a.cmp(edi, 15).ja(short(call));
    a.mov(ecx, edi).mov(eax, 1).shl(eax, cl);
    a.test(eax, HIGH_RESOLUTION | RAW).jnz(short(high));
    a.test(eax, COARSE).jz(short(call));
    a.mov(eax, code.options.tickNs).jmp(short(store));
    a.bind(high);
    code.realClocks();
    a.mov(eax, mem(r8, { disp: resolution - clocks }));
    a.bind(store);
    a.test(rsi, rsi).jz(short(none));
    a.mov(mem(rsi, { size: 8 }), 0).mov(mem(rsi, { disp: 8 }), rax);
    a.bind(none);
    a.xor(eax, eax).ret();
    a.bind(call);
    code.systemCall(SYS.clock_getres);
  },
};

/** `int getcpu(unsigned *cpu, unsigned *node, void *unused)` */
const getcpu: VdsoFunction = {
  name: "getcpu",
  emit: (code) => {
    const { a } = code;
    const [noCpu, noNode] = [a.label("noCpu"), a.label("noNode")];
    if (code.options.cpuNumber === "rdpid") a.rdpid(rax);
    else a.mov(eax, CPUNODE_SEG).lsl(eax, eax);
    a.test(rdi, rdi).jz(short(noCpu));
    a.mov(edx, eax)
      .and(edx, (1 << CPU_BITS) - 1)
      .mov(mem(rdi), edx);
    a.bind(noCpu);
    a.test(rsi, rsi).jz(short(noNode));
    a.shr(eax, CPU_BITS).mov(mem(rsi), eax);
    a.bind(noNode);
    a.xor(eax, eax).ret();
  },
};

/** The functions of the image, in the order of their code. */
export const FUNCTIONS: readonly VdsoFunction[] = [clockGettime, gettimeofday, time, clockGetres, getcpu];
