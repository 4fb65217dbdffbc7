import { Gpr, type GuestCpu, type InitialState, TdGuest, type TdVcpu, type VmExit } from "@vm/tdx";
import { PAGE, type Platform } from "./platform.js";

const RWX_WRITE = 2;
const PENDING = -1;
const TDG_MEM_PAGE_ACCEPT = 6n;
const EXPOSED = 0xfcccn;
const INTERRUPTED: VmExit = { reason: "external-interrupt" };

/** What a guest wants to do: write to a page of its own, or ask its host by TDVMCALL. */
export type Wish =
  | { readonly kind: "write"; readonly gfn: number; readonly stamp: number }
  | { readonly kind: "vmcall"; readonly registers: Partial<Record<keyof typeof Gpr, bigint>> };

/** A processor with a TLB that forgets only when it is told to. */
export class ExploreCpu implements GuestCpu {
  readonly #regs = new BigUint64Array(16);
  readonly tlb = new Map<number, number>();
  readonly cpl = 0;
  readonly cr0 = 0x8000_0021n;
  readonly cr3 = 0n;
  readonly cr4 = 0x20n;
  readonly efer = 0xd01n;
  readonly instructionLength = 4;
  rip = 0n;
  wish: Wish | null = null;
  /** Pages that it has accepted. */
  accepted = 0;
  readonly #guest: TdGuest;
  readonly #words: Uint32Array;

  constructor(
    readonly vcpu: TdVcpu,
    platform: Platform,
  ) {
    this.#words = new Uint32Array(platform.memory.buffer);
    const reports = { create: () => new Uint8Array(1024), verify: () => "valid" as const };
    this.#guest = new TdGuest(vcpu, this, platform.module.state, { sharedPage: () => ({ suppressVe: true }), reports });
  }

  readonly gpr = {
    get: (index: number): bigint => this.#regs[index] as bigint,
    set: (index: number, value: bigint): void => {
      this.#regs[index] = value;
    },
  };

  readonly xmm = { get: (to: Uint8Array): void => void to.fill(0), set: (): void => undefined };

  reset({ gprs }: InitialState): void {
    this.#regs.set(gprs);
  }

  inject(vector: number): void {
    throw new Error(`the guest gets exception ${vector}`);
  }

  flushTlb(): void {
    this.tlb.clear();
  }

  run(): VmExit {
    const { wish } = this;
    if (wish === null) return INTERRUPTED;
    if (wish.kind === "write") return this.#write(wish.gfn, wish.stamp);
    this.wish = null;
    this.#regs.fill(0n);
    this.#regs[Gpr.Rcx] = EXPOSED;
    for (const [name, value] of Object.entries(wish.registers)) this.#regs[Gpr[name as keyof typeof Gpr]] = value;
    return { reason: "tdcall" };
  }

  /** The instruction is tried until it is done or the guest is left. */
  #write(gfn: number, stamp: number): VmExit {
    for (;;) {
      const frame = this.translate(gfn);
      if (frame > 0) {
        this.#words[frame * (PAGE / 4)] = stamp;
        this.wish = null;
        return INTERRUPTED;
      }
      if (frame !== PENDING) return { reason: "ept-violation", violation: { gpa: gfn * PAGE, access: "write" } };
      const exit = this.#accept(gfn);
      if (exit !== null) return exit;
    }
  }

  /** The frame, by the TLB or the secure EPT. */
  translate(gfn: number): number {
    const known = this.tlb.get(gfn);
    if (known !== undefined) return known;
    const frame = this.vcpu.td.sept?.walk(gfn, RWX_WRITE) ?? 0;
    if (frame > 0) this.tlb.set(gfn, frame);
    return frame;
  }

  #accept(gfn: number): VmExit | null {
    this.#regs[Gpr.Rax] = TDG_MEM_PAGE_ACCEPT;
    this.#regs[Gpr.Rcx] = BigInt(gfn * PAGE);
    if (this.#guest.tdcall() === "exit") return this.#guest.takeExit()?.exit ?? INTERRUPTED;
    // Somebody is in the way: the guest comes again.
    if (this.#regs[Gpr.Rax] !== 0n) return INTERRUPTED;
    this.accepted++;
    return null;
  }
}
