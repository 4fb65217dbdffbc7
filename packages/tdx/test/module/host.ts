import { Gpr, type Gprs } from "../../src/module/gpr.js";
import { TdxModule } from "../../src/module/module.js";
import type { PlatformDesc } from "../../src/module/platform.js";
import { Status, statusName } from "../../src/module/status.js";
import type { TdVcpu } from "../../src/module/td-vcpu.js";
import { ScriptedCpu } from "./scripted-cpu.js";

export const PAGE = 4096;
export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
/** Memory ends here: one TDMR. */
export const MEMORY = GIB;
/** Where the PAMT is; the host's own pages are below, what it gives away above. */
const PAMT = 16 * MIB;
const PAMT_SIZES = [4 * MIB + 64 * 1024, 16 * 1024, PAGE] as const;
/** First page that the host gives away. */
export const FREE_PAGES = 32 * MIB;
/** A page of the host's for operands in memory. */
export const SCRATCH = 0x10_0000;
export const HKIDS = { first: 16, count: 4 };
/** The module's own key. */
export const MODULE_HKID = 16;

/** What a processor without much says to CPUID. */
export function cpuid(leaf: number, subleaf: number): readonly [number, number, number, number] {
  if (leaf === 1) return [0x0c06_f2, 0, 0, 0];
  if (leaf === 0xd && subleaf === 0) return [7, 0x340, 0x340, 0];
  return [0, 0, 0, 0];
}

function fillRandom(to: Uint8Array): boolean {
  to.fill(0x5a);
  return true;
}

export interface HostOptions
  extends Partial<Pick<PlatformDesc, "packages" | "processors" | "random" | "cpuid" | "maxPhysAddr">> {
  readonly interruptPending?: PlatformDesc["interruptPending"];
}

/** Registers by name: `{ rcx: 1n }`; numbers are fine. */
export type Operands = Partial<Record<"rcx" | "rdx" | "r8" | "r9" | "r10" | "r11", number | bigint>>;
const NAMES = { rcx: Gpr.Rcx, rdx: Gpr.Rdx, r8: Gpr.R8, r9: Gpr.R9, r10: Gpr.R10, r11: Gpr.R11 } as const;

/** What a SEAMCALL ended with. */
export interface Result {
  readonly status: bigint;
  /** With its operand: `OPERAND_BUSY|128`. */
  readonly text: string;
  readonly regs: Gprs;
}

/** A status as tests compare it: name, and the operand or details if there are. */
export function describe(status: bigint): string {
  const detail = status & 0xffff_ffffn;
  const name = statusName(status) ?? `0x${status.toString(16)}`;
  return detail === 0n ? name : `${name}|${detail}`;
}

/** A machine with a TDX module, and a host that gives pages away. */
export class Host {
  readonly module: TdxModule;
  readonly frames = new Map<number, Uint8Array>();
  readonly cpus = new Map<TdVcpu, ScriptedCpu>();
  readonly platform: PlatformDesc;
  tsc = 1_000_000n;
  #next = FREE_PAGES;
  readonly #released: number[] = [];

  constructor(options: HostOptions = {}) {
    this.platform = {
      memory: { page: (hpa) => this.page(hpa) },
      packages: options.packages ?? 2,
      processors: options.processors ?? [{ package: 0 }, { package: 0 }, { package: 1 }],
      cmrs: [
        { base: 0, size: MEMORY / 2 },
        { base: MEMORY / 2, size: MEMORY / 2 },
      ],
      privateHkids: HKIDS,
      maxPhysAddr: options.maxPhysAddr ?? 46,
      random: options.random ?? fillRandom,
      secret: new Uint8Array(32).fill(7),
      tsc: () => (this.tsc += 1000n),
      tscFrequency: 2_000_000_000,
      cpuid: options.cpuid ?? cpuid,
      ...(options.interruptPending && { interruptPending: options.interruptPending }),
      createGuestCpu: (vcpu) => {
        const cpu = new ScriptedCpu();
        this.cpus.set(vcpu, cpu);
        return cpu;
      },
    };
    this.module = new TdxModule(this.platform);
  }

  /** The frame that `hpa` is the start of. */
  page(hpa: number): Uint8Array {
    if (hpa % PAGE !== 0 || hpa < 0 || hpa >= MEMORY) throw new RangeError(`no frame at 0x${hpa.toString(16)}`);
    let frame = this.frames.get(hpa);
    if (frame === undefined) {
      frame = new Uint8Array(PAGE);
      this.frames.set(hpa, frame);
    }
    return frame;
  }

  view(hpa: number): DataView {
    const frame = this.page(hpa - (hpa % PAGE));
    return new DataView(frame.buffer, frame.byteOffset + (hpa % PAGE));
  }

  /** A page of the host's to give away, of 4 KiB or 2 MiB. */
  alloc(size = PAGE): number {
    const old = size === PAGE ? this.#released.pop() : undefined;
    if (old !== undefined) return old;
    this.#next = Math.ceil(this.#next / size) * size;
    const hpa = this.#next;
    this.#next += size;
    if (this.#next > MEMORY) throw new RangeError("the host has no memory left");
    return hpa;
  }

  free(hpa: number): void {
    this.#released.push(hpa);
  }

  call(leaf: number, operands: Operands = {}, { lp = 0, version = 0 } = {}): Result {
    const regs = new BigUint64Array(16);
    regs[Gpr.Rax] = BigInt(leaf) | (BigInt(version) << 16n);
    for (const [name, value] of Object.entries(operands)) regs[NAMES[name as keyof Operands]] = BigInt(value);
    this.module.seamcall(lp, regs);
    const status = regs[Gpr.Rax] as bigint;
    return { status, text: describe(status), regs };
  }

  /** As {@link call}, of what has to work. */
  must(leaf: number, operands: Operands = {}, options: { lp?: number; version?: number } = {}): Result {
    const result = this.call(leaf, operands, options);
    if (result.status !== Status.SUCCESS) throw new Error(`leaf ${leaf}: ${result.text}`);
    return result;
  }

  /** TDMR_INFO at {@link SCRATCH}, and the array with its address behind it. */
  writeTdmrInfo(change: (words: BigUint64Array) => void = () => {}): number {
    const words = new BigUint64Array(64);
    const [small, medium, large] = PAMT_SIZES;
    const [at1g, at2m, at4k] = [PAMT, PAMT + PAGE, PAMT + PAGE + medium];
    words.set([0, MEMORY, at1g, large, at2m, medium, at4k, small].map(BigInt));
    words.set([BigInt(PAMT), BigInt(FREE_PAGES - PAMT)], 8);
    change(words);
    this.page(SCRATCH).set(new Uint8Array(words.buffer));
    this.view(SCRATCH + 512).setBigUint64(0, BigInt(SCRATCH), true);
    return SCRATCH + 512;
  }

  /** Initialises the module: READY, and the whole TDMR with it. */
  bringUp(): this {
    this.must(33);
    for (const lp of this.platform.processors.keys()) this.must(35, {}, { lp });
    this.must(45, { rcx: this.writeTdmrInfo(), rdx: 1, r8: MODULE_HKID });
    this.eachPackage((lp) => this.must(31, {}, { lp }));
    while (this.must(36, { rcx: 0 }).regs[Gpr.Rdx] !== BigInt(MEMORY));
    return this;
  }

  /** Calls back with a processor of every package. */
  eachPackage(visit: (lp: number) => void): void {
    for (let pkg = 0; pkg < this.platform.packages; pkg++)
      visit(this.platform.processors.findIndex((processor) => processor.package === pkg));
  }
}
