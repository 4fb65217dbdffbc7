import {
  decodeText,
  Errno,
  GuestReader,
  type KvmiClient,
  KvmiError,
  type KvmiEvent,
  type LinuxKernel,
  UnmappedError,
} from "@vm/kvmi";
import { printable } from "../printable.js";

const SYSCALL_TABLE = 512;
const TASK_COMM = 16;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** Sees every system call of a guest by a breakpoint on the instruction where SYSCALL leads, of which the guest sees nothing. */
export class SyscallTrace {
  readonly #client: KvmiClient;
  readonly #names: readonly string[];
  readonly #entry: bigint;
  /** Offset of the pointer to the running task in per-CPU data. */
  readonly #current: bigint;
  readonly #comm: bigint;
  readonly #tgid: bigint;

  private constructor(
    client: KvmiClient,
    parts: {
      readonly names: readonly string[];
      readonly entry: bigint;
      readonly current: bigint;
      readonly comm: number;
      readonly tgid: number;
    },
  ) {
    this.#client = client;
    this.#names = parts.names;
    this.#entry = parts.entry;
    this.#current = parts.current;
    this.#comm = BigInt(parts.comm);
    this.#tgid = BigInt(parts.tgid);
  }

  /** Sets the breakpoint on every vCPU that has been started. @throws {GuestOsError} */
  static async start(client: KvmiClient, kernel: LinuxKernel): Promise<SyscallTrace> {
    const entry = kernel.symbol("entry_SYSCALL_64");
    // Since 6.2 the running task is the first member of pcpu_hot; before, and again since 6.15, it is a variable of its own.
    const hot = kernel.symbols.get("pcpu_hot");
    const current =
      hot === undefined
        ? kernel.symbol("current_task")
        : hot + BigInt(kernel.types.member("pcpu_hot", "current_task")?.offset ?? 0);
    const [comm, tgid] = [kernel.offset("task_struct", "comm"), kernel.offset("task_struct", "tgid")];
    const names = await syscallNames(kernel, new GuestReader(client));
    for (let vcpu = 0; vcpu < (await client.vcpuCount()); vcpu++) {
      try {
        await client.controlEvent(vcpu, "breakpoint", true);
        await client.controlCodeBreakpoint(vcpu, entry, true);
      } catch (error) {
        if (!(error instanceof KvmiError) || error.errno !== Errno.EAGAIN) throw error;
      }
    }
    return new SyscallTrace(client, { names, entry, current, comm, tgid });
  }

  /** A line for a system call, null for what is none. */
  async describe(event: KvmiEvent): Promise<string | null> {
    if (event.name !== "breakpoint" || event.state.regs.rip !== this.#entry) return null;
    const { regs, msrs } = event.state;
    const name = this.#names[Number(regs.rax & 0xffffffffn)] ?? `syscall_${regs.rax}`;
    const { rdi, rsi, rdx } = regs;
    const who = await this.#who(msrs.shadow_gs).catch((error: unknown) => {
      // A guest may lead astray whoever looks; its system calls are seen all the same.
      if (error instanceof UnmappedError) return "?[?]";
      throw error;
    });
    return `${who} ${printable(name)}(${[rdi, rsi, rdx].map(hex).join(", ")}, ...)`;
  }

  /** The running process: SWAPGS has not happened yet, so per-CPU data is where KERNEL_GS_BASE points. */
  async #who(percpu: bigint): Promise<string> {
    const reader = new GuestReader(this.#client);
    const task = await reader.u64(percpu + this.#current);
    const [comm, tgid] = await Promise.all([reader.read(task + this.#comm, TASK_COMM), reader.u32(task + this.#tgid)]);
    const end = comm.indexOf(0);
    return `${printable(decodeText(end < 0 ? comm : comm.subarray(0, end)))}[${tgid}]`;
  }
}

/** Names of the system calls by number, from what the kernel's table points to. */
async function syscallNames(kernel: LinuxKernel, reader: GuestReader): Promise<readonly string[]> {
  const prefix = "__x64_sys_";
  const byAddress = new Map<bigint, string>();
  for (const [name, address] of kernel.symbols)
    if (name.startsWith(prefix)) byAddress.set(address, name.slice(prefix.length));
  const table = kernel.symbols.get("sys_call_table");
  if (table === undefined) return [];
  const bytes = await reader.read(table, 8 * SYSCALL_TABLE);
  const view = new DataView(bytes.buffer);
  const names: string[] = [];
  for (let k = 0; k < SYSCALL_TABLE; k++) names.push(byAddress.get(view.getBigUint64(8 * k, true)) ?? `syscall_${k}`);
  return names;
}
