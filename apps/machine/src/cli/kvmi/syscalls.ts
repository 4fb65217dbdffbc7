import { GuestReader, type KvmiClient, type KvmiEvent, type LinuxKernel, UnmappedError } from "@vm/kvmi";
import { printable } from "../printable.js";
import type { GuestClock, Line, Source } from "./lines.js";
import { ENDS, SYSCALLS, type SyscallShape, syscallName } from "./syscall-table.js";
import { SyscallArguments, syscallResult, unknownArguments } from "./syscall-values.js";
import { who } from "./who.js";

const NUMBERS = 512;
/** Calls whose end is waited for; the oldest are given up. */
const CALLS_MOST = 4096;

/** pt_regs, bytes (arch/x86/include/asm/ptrace.h): where arguments, the result and the number are. */
const PT_REGS = { r10: 56, r9: 64, r8: 72, ax: 80, dx: 96, si: 104, di: 112, origAx: 120, size: 168 } as const;
const ARGUMENTS = [PT_REGS.di, PT_REGS.si, PT_REGS.dx, PT_REGS.r10, PT_REGS.r8, PT_REGS.r9];

/** A system call that has not ended. */
interface Call extends Line {
  readonly name: string;
  readonly shape: SyscallShape | undefined;
  readonly values: readonly bigint[];
  readonly given: SyscallArguments | null;
}

/**
 * Sees every system call of 64-bit programs by breakpoints, of which the guest sees nothing: where the kernel has saved the registers, and where it is about
 * to go back, before it looks after signals.
 */
export class SyscallTrace implements Source {
  readonly #client: KvmiClient;
  readonly #kernel: LinuxKernel;
  readonly #clock: GuestClock;
  readonly #names: readonly string[];
  readonly #entry: bigint;
  /** Where the kernel goes on to user mode; 6.17 and later have no function for that, and null until it is known where do_syscall_64 returns to. */
  #exit: bigint | null;
  readonly #exitIsFunction: boolean;
  /** Before 5.13 the number was the first parameter. */
  readonly #regsFirst: boolean;
  /** By the address of the saved registers. */
  readonly #calls = new Map<bigint, Call>();

  private constructor(client: KvmiClient, kernel: LinuxKernel, clock: GuestClock, names: readonly string[]) {
    this.#client = client;
    this.#kernel = kernel;
    this.#clock = clock;
    this.#names = names;
    this.#entry = kernel.symbol("do_syscall_64");
    this.#exit = kernel.symbols.get("syscall_exit_to_user_mode") ?? null;
    this.#exitIsFunction = this.#exit !== null;
    this.#regsFirst = kernel.prototype("do_syscall_64")?.parameters[0]?.type.kind !== "int";
  }

  /** Sets the breakpoints. @throws {GuestOsError} */
  static async start(client: KvmiClient, kernel: LinuxKernel, clock: GuestClock): Promise<SyscallTrace> {
    const trace = new SyscallTrace(client, kernel, clock, await syscallNames(kernel, new GuestReader(client)));
    await client.breakpoint(trace.#entry);
    if (trace.#exit !== null) await client.breakpoint(trace.#exit);
    return trace;
  }

  async take(event: KvmiEvent): Promise<readonly Line[]> {
    if (event.name !== "breakpoint") return [];
    const { rip, rdi, rsi, rsp } = event.state.regs;
    // The caller's frame is the saved registers.
    if (rip === this.#exit) return this.#end(event, this.#exitIsFunction ? rdi : rsp);
    return rip === this.#entry ? this.#begin(event, this.#regsFirst ? rdi : rsi) : [];
  }

  rest(): readonly Line[] {
    return [...this.#calls.values()].map(unfinished);
  }

  async #begin(event: KvmiEvent, at: bigint): Promise<readonly Line[]> {
    const { vcpu, state } = event;
    const reader = new GuestReader(this.#client, vcpu);
    const [time, task] = await Promise.all([this.#clock.now(vcpu), who(this.#kernel, reader, state)]);
    const saved = await reader.read(at, PT_REGS.size).catch((error: unknown) => {
      // A kernel that leads whoever looks astray.
      if (error instanceof UnmappedError) return null;
      throw error;
    });
    if (saved === null) return [{ time, vcpu, text: `${task} ?` }];
    if (this.#exit === null) {
      this.#exit = await reader.u64(state.regs.rsp);
      await this.#client.breakpoint(this.#exit);
    }
    const regs = new DataView(saved.buffer, saved.byteOffset);
    const number = regs.getUint32(PT_REGS.origAx, true);
    const name = syscallName(this.#names[number] ?? `syscall_${number}`);
    const shape = SYSCALLS.get(name);
    const values = ARGUMENTS.map((offset) => regs.getBigUint64(offset, true));
    const given = shape === undefined ? null : await SyscallArguments.read(shape, values, reader);
    const call: Call = { time, vcpu, text: `${task} ${printable(name)}`, name, shape, values, given };
    if (ENDS.has(name)) return [await this.#line(call, null, reader)];
    const lost = this.#makeRoom(at);
    this.#calls.set(at, call);
    return lost;
  }

  async #end({ vcpu }: KvmiEvent, at: bigint): Promise<readonly Line[]> {
    const call = this.#calls.get(at);
    if (call === undefined) return [];
    this.#calls.delete(at);
    const reader = new GuestReader(this.#client, vcpu);
    const result = await reader.u64(at + BigInt(PT_REGS.ax)).catch((error: unknown) => {
      if (error instanceof UnmappedError) return null;
      throw error;
    });
    return [await this.#line(call, result, reader)];
  }

  async #line(
    { time, vcpu, text, shape, values, given }: Call,
    result: bigint | null,
    reader: GuestReader,
  ): Promise<Line> {
    const shown = given === null ? unknownArguments(values) : await given.text(result, reader);
    const end = result === null ? "?" : syscallResult(result, shape?.address ?? false);
    return { time, vcpu, text: `${text}(${shown}) = ${end}` };
  }

  /** Gives up what will not end: what has the place of the new call, whose task is gone, and the oldest of too many. */
  #makeRoom(at: bigint): readonly Line[] {
    const stale = this.#calls.has(at) ? at : this.#calls.size >= CALLS_MOST ? [...this.#calls.keys()][0] : undefined;
    const call = stale === undefined ? undefined : this.#calls.get(stale);
    if (stale === undefined || call === undefined) return [];
    this.#calls.delete(stale);
    return [unfinished(call)];
  }
}

/** A call of which nothing more will be known. */
const unfinished = ({ time, vcpu, text }: Line): Line => ({ time, vcpu, text: `${text}(...) = ?` });

/** Names of the system calls by number, from what the kernel's table points to. */
async function syscallNames(kernel: LinuxKernel, reader: GuestReader): Promise<readonly string[]> {
  const prefix = "__x64_sys_";
  const byAddress = new Map<bigint, string>();
  for (const [name, address] of kernel.symbols)
    if (name.startsWith(prefix)) byAddress.set(address, name.slice(prefix.length));
  const table = kernel.symbols.get("sys_call_table");
  if (table === undefined) return [];
  const bytes = await reader.read(table, 8 * NUMBERS);
  const view = new DataView(bytes.buffer);
  const names: string[] = [];
  for (let k = 0; k < NUMBERS; k++) names.push(byAddress.get(view.getBigUint64(8 * k, true)) ?? `syscall_${k}`);
  return names;
}
