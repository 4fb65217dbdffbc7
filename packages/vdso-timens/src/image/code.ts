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
 * One function being written. Within it: `r8` the clock structure of the first page, `r11` 16 x the clock, `r9d` the sequence. Arguments stay in
 * `rdi` and `rsi`. Nothing is pushed and nothing called, so that unwinding is trivial and any stack will do.
 */
export class Code {
  readonly #image: Label;
  /** Code that seldom runs, for behind the function. */
  readonly #aside: (() => void)[] = [];
  #kvmclock: Label | null = null;

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

  /** A field of the clock structure that is `from` bytes behind `r8`. */
  field(name: "seq" | "mode" | "cycleLast" | "mult" | "shift", from = 0, size = 0) {
    return mem(r8, { disp: this.options.abi.fields[name] + from, size });
  }

  /** Seconds of the clock in the structure that is `from` bytes behind `r8`; nanoseconds are 8 further. */
  base(from: number) {
    return mem(r8, { index: r11, disp: this.options.abi.fields.bases + from });
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
    a.cmp(this.field("mode", 0, 4), ClockMode.Timens).jne(short(real));
    a.add(r8, this.toReal);
    a.bind(real);
  }

  /**
   * `rdx` := seconds and `rax` := nanoseconds of the clock, as one reading that no writer has disturbed (`lib/vdso/gettimeofday.c`: `do_hres`,
   * `do_coarse` and their `_timens`). A namespace's page sends on to the real one, which has code of its own so that each way is short, and its offset
   * is added.
   * @param otherwise where to go if there is no counter to be read; null for a coarse clock, which needs none
   */
  reading(otherwise: Label | null): void {
    const { a } = this;
    const [odd, sum, done] = [a.label("odd"), a.label("sum"), a.label("done")];
    const again = a.here("again");
    this.#attempt(0, { again, odd, otherwise });
    a.bind(sum);
    a.cmp(rax, NSEC_PER_SEC).jb(short(done));
    a.sub(rax, NSEC_PER_SEC).inc(rdx);
    a.cmp(rax, NSEC_PER_SEC).jb(short(done));
    // A page that has not been written for seconds, or holds anything at all.
    a.mov(r9, rdx).xor(edx, edx).mov(ecx, NSEC_PER_SEC).div(rcx);
    a.lea(r9, mem(r9, { index: rax }))
      .mov(rax, rdx)
      .mov(rdx, r9);
    a.bind(done);
    this.#aside.push(() => {
      const [wait, busy] = [a.label("wait"), a.label("busy")];
      a.bind(odd);
      a.cmp(this.field("mode", 0, 4), ClockMode.Timens).jne(wait);
      const real = a.here("real");
      this.#attempt(this.toReal, { again: real, odd: busy, otherwise });
      a.add(rdx, this.base(0)).add(rax, this.base(8)).jmp(sum);
      a.bind(busy);
      a.pause().jmp(real);
      a.bind(wait);
      a.pause().jmp(again);
    });
  }

  /** Reads the structure that is `from` bytes behind `r8`, and goes to `again` if it was written meanwhile, to `odd` if it is being written. */
  #attempt(from: number, { again, odd, otherwise }: { again: Label; odd: Label; otherwise: Label | null }): void {
    const { a } = this;
    a.mov(r9d, this.field("seq", from));
    a.test(r9d, 1).jnz(odd);
    if (otherwise === null) a.mov(rax, this.base(from + 8));
    else this.#nanoseconds(from, otherwise);
    a.mov(rdx, this.base(from));
    a.cmp(this.field("seq", from), r9d).jne(again);
  }

  /** `rax` := nanoseconds of the clock since its second began, from the counter. */
  #nanoseconds(from: number, otherwise: Label): void {
    const { a } = this;
    const { maxCycles } = this.options.abi.fields;
    const [other, far, done] = [a.label("other"), a.label("far"), a.label("done")];
    a.cmp(this.field("mode", from, 4), ClockMode.Tsc).jne(other);
    this.#tsc();
    const cycles = a.here("cycles");
    a.sub(rax, this.field("cycleLast", from));
    if (maxCycles === null) {
      // Another CPU may be behind.
      const ahead = a.label("ahead");
      a.jae(short(ahead)).xor(eax, eax);
      a.bind(ahead);
    } else a.cmp(rax, mem(r8, { disp: maxCycles + from })).ja(far);
    a.mov(ecx, this.field("mult", from)).imul(rax, rcx);
    a.add(rax, this.base(from + 8));
    a.mov(ecx, this.field("shift", from)).shr(rax, cl);
    a.bind(done);
    this.#aside.push(() => {
      a.bind(other);
      a.cmp(this.field("mode", from, 4), ClockMode.Pvclock).jne(otherwise);
      a.lea(r10, mem(cycles)).jmp(this.#pvclock(otherwise));
      if (maxCycles === null) return;
      // Backwards, or so far that 64 bits do not hold the product.
      const forward = a.label("forward");
      a.bind(far);
      a.bt(rax, 62).jnc(short(forward)).xor(eax, eax);
      a.bind(forward);
      a.btr(rax, 63);
      a.mov(ecx, this.field("mult", from)).mul(rcx);
      a.add(rax, this.base(from + 8)).adc(rdx, 0);
      a.mov(ecx, this.field("shift", from)).shrd(rax, rdx, cl);
      a.jmp(done);
    });
  }

  /** Writes what was put aside. */
  finish(): void {
    for (let write = this.#aside.shift(); write !== undefined; write = this.#aside.shift()) write();
  }

  /** `rax` := the time-stamp counter, not read before what is in front of it; `rdx` is lost. */
  #tsc(): void {
    this.a.lfence().rdtsc().shl(rdx, 32).or(rax, rdx);
  }

  /** Code that reads kvmclock: once in a function. */
  #pvclock(otherwise: Label): Label {
    if (this.#kvmclock !== null) return this.#kvmclock;
    const label = this.a.label("pvclock");
    this.#kvmclock = label;
    this.#aside.push(() => this.#readPvclock(label, otherwise));
    return label;
  }

  /** `rax` := nanoseconds of kvmclock (`arch/x86/include/asm/pvclock.h`), then to where `r10` says. The version waits in the red zone. */
  #readPvclock(again: Label, otherwise: Label): void {
    const { a } = this;
    const field = (offset: number, size = 0) => this.at("pvclock", offset, size);
    const version = mem(rsp, { disp: -8 });
    const [right, shifted] = [a.label("right"), a.label("shifted")];
    a.bind(again);
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
    a.jmp(r10);
  }
}
