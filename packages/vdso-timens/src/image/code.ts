import {
  type Assembler,
  cl,
  eax,
  ecx,
  edx,
  type Label,
  mem,
  r8,
  r9,
  r9d,
  r10,
  r11,
  rax,
  rcx,
  rdx,
  rsp,
  short,
} from "@vm/asm";
import { NSEC_PER_SEC } from "../clocks.js";
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

/**
 * One function being written. Within it: `r8` the clock structure, `r11` 16 x the clock, `r9d` the sequence, `r10` the structure in the
 * namespace's page or 0. Arguments stay in `rdi` and `rsi`. Nothing is pushed and nothing called, so that unwinding is trivial and any stack will do.
 */
export class Code {
  readonly #image: Label;
  /** Code that seldom runs, for behind the function. */
  readonly #aside: (() => void)[] = [];

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
   * @param otherwise where to go if there is no counter to be read; null for a coarse clock, which needs none
   */
  reading(otherwise: Label | null): void {
    const { a } = this;
    const [again, odd, wait] = [a.label("again"), a.label("odd"), a.label("wait")];
    const [plain, done] = [a.label("plain"), a.label("done")];
    a.xor(r10, r10);
    a.bind(again);
    a.mov(r9d, this.field("seq"));
    a.test(r9d, 1).jnz(odd);
    if (otherwise === null) a.mov(rax, this.base(r8, 8));
    else this.#nanoseconds(otherwise);
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
    const { maxCycles } = this.options.abi.fields;
    const [other, far, done] = [a.label("other"), a.label("far"), a.label("done")];
    a.mov(eax, this.field("mode"));
    a.cmp(eax, ClockMode.Tsc).jne(other);
    this.#tsc();
    const cycles = a.here("cycles");
    a.sub(rax, this.field("cycleLast"));
    if (maxCycles === null) {
      // Another CPU may be behind.
      const ahead = a.label("ahead");
      a.jae(short(ahead)).xor(eax, eax);
      a.bind(ahead);
    } else a.cmp(rax, mem(r8, { disp: maxCycles })).ja(far);
    a.mov(ecx, this.field("mult")).imul(rax, rcx);
    a.add(rax, this.base(r8, 8));
    a.mov(ecx, this.field("shift")).shr(rax, cl);
    a.bind(done);
    this.#aside.push(() => {
      a.bind(other);
      a.cmp(eax, ClockMode.Pvclock).jne(otherwise);
      this.#pvclock(cycles, otherwise);
      if (maxCycles === null) return;
      // Backwards, or so far that 64 bits do not hold the product.
      const forward = a.label("forward");
      a.bind(far);
      a.bt(rax, 62).jnc(short(forward)).xor(eax, eax);
      a.bind(forward);
      a.btr(rax, 63);
      a.mov(ecx, this.field("mult")).mul(rcx);
      a.add(rax, this.base(r8, 8)).adc(rdx, 0);
      a.mov(ecx, this.field("shift")).shrd(rax, rdx, cl);
      a.jmp(done);
    });
  }

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
