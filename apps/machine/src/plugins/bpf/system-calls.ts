import { BpfError, type Btf } from "@vm/bpf-storage";
import type { Symbols } from "@vm/kvmi";
import type { VirtualMemory } from "../../virtual-memory.js";
import { memberOffset } from "./guest-host.js";

/** Entries of the table of system calls that are looked at. */
const CALLS_MOST = 1024;
/** Where a call's arguments are in `struct pt_regs`. */
const ARGUMENTS = ["di", "si", "dx", "r10", "r8", "r9"];

/** Which calls a tracepoint of system calls is for: all, or those of a number. */
export interface CallFilter {
  readonly enter: boolean;
  /** null: any. */
  readonly number: number | null;
}

/** The kernel's tracepoints of system calls, `raw_syscalls/sys_enter` and `syscalls/sys_enter_openat`, as programs of type tracepoint get them. */
export class SystemCalls {
  readonly #symbols: Symbols;
  readonly #memory: VirtualMemory;
  readonly #arguments: readonly bigint[];
  readonly #number: bigint;
  readonly #result: bigint;

  /** @throws {GuestOsError} for a kernel whose pt_regs are not those of x86-64 */
  constructor(symbols: Symbols, btf: Btf, memory: VirtualMemory) {
    this.#symbols = symbols;
    this.#memory = memory;
    const offset = (member: string): bigint => BigInt(memberOffset(btf, "pt_regs", member));
    this.#arguments = ARGUMENTS.map(offset);
    this.#number = offset("orig_ax");
    this.#result = offset("ax");
  }

  /** What `category/name` stands for; null if it is no tracepoint of system calls. @throws {BpfError} ENOENT for a call that the kernel has not */
  filter(target: string): CallFilter | null {
    const [, category, way, name] = /^(raw_syscalls|syscalls)\/sys_(enter|exit)(?:_(\w+))?$/.exec(target) ?? [];
    if (way === undefined || (category === "syscalls") !== (name !== undefined)) return null;
    return { enter: way === "enter", number: name === undefined ? null : this.#numberOf(name) };
  }

  /** What the tracepoint records of the call whose registers lie at `regs`; null for a call of another number. */
  record(regs: bigint, { enter, number }: CallFilter, tid: number): readonly bigint[] | null {
    const call = BigInt.asUintN(32, this.#memory.readU64(regs + this.#number) ?? 0n);
    if (number !== null && call !== BigInt(number)) return null;
    // `struct trace_entry`: the type of the event, flags, and the task.
    const entry = BigInt(tid) << 32n;
    const read = (offset: bigint): bigint => this.#memory.readU64(regs + offset) ?? 0n;
    return [entry, call, ...(enter ? this.#arguments.map(read) : [read(this.#result)])];
  }

  #numberOf(name: string): number {
    const [table, handler] = [this.#symbols.get("sys_call_table"), this.#symbols.get(`__x64_sys_${name}`)];
    if (table !== undefined && handler !== undefined)
      for (let number = 0; number < CALLS_MOST; number++)
        if (this.#memory.readU64(table + BigInt(8 * number)) === handler) return number;
    throw new BpfError("ENOENT", `the kernel has no system call ${name}`);
  }
}
