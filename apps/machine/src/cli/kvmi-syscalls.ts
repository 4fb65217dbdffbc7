import { type EventAnswer, GuestReader, type KvmiClient, type KvmiEvent, LinuxKernel } from "@vm/kvmi";

const INT3 = 0xcc;
const SYSCALL_TABLE = 512;
const TASK_COMM = 16;

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/**
 * Sees every system call of a guest by a breakpoint where SYSCALL leads. The instruction under it is stepped with the breakpoint taken
 * out; with several vCPUs, calls that others make meanwhile are not seen.
 */
export class SyscallTrace {
  readonly #client: KvmiClient;
  readonly #names: readonly string[];
  readonly #entry: bigint;
  readonly #gpa: bigint;
  readonly #original: Uint8Array;
  /** Offset of the pointer to the running task in per-CPU data. */
  readonly #current: bigint;
  readonly #comm: bigint;
  readonly #tgid: bigint;

  private constructor(
    client: KvmiClient,
    parts: {
      readonly names: readonly string[];
      readonly entry: bigint;
      readonly gpa: bigint;
      readonly original: Uint8Array;
      readonly current: bigint;
      readonly comm: number;
      readonly tgid: number;
    },
  ) {
    this.#client = client;
    this.#names = parts.names;
    this.#entry = parts.entry;
    this.#gpa = parts.gpa;
    this.#original = parts.original;
    this.#current = parts.current;
    this.#comm = BigInt(parts.comm);
    this.#tgid = BigInt(parts.tgid);
  }

  /** Puts the breakpoint in place. All vCPUs must stand still. @throws {GuestOsError} */
  static async start(client: KvmiClient): Promise<SyscallTrace> {
    const kernel = await LinuxKernel.find(client);
    const reader = new GuestReader(client);
    const entry = kernel.symbol("entry_SYSCALL_64");
    const gpa = (await reader.translate(entry)) ?? 0n;
    const original = await client.readPhysical(gpa, 1);
    // Since 6.2 the running task is the first member of pcpu_hot; before, and again since 6.15, it is a variable of its own.
    const hot = kernel.symbols.get("pcpu_hot");
    const current =
      hot === undefined
        ? kernel.symbol("current_task")
        : hot + BigInt(kernel.types.member("pcpu_hot", "current_task")?.offset ?? 0);
    const [comm, tgid] = [kernel.offset("task_struct", "comm"), kernel.offset("task_struct", "tgid")];
    const names = await syscallNames(kernel, reader);
    const trace = new SyscallTrace(client, { names, entry, gpa, original, current, comm, tgid });
    for (let vcpu = 0; vcpu < (await client.vcpuCount()); vcpu++)
      await client.controlEvent(vcpu, "breakpoint", true).catch(() => undefined);
    await client.writePhysical(gpa, Uint8Array.of(INT3));
    return trace;
  }

  /** Takes the breakpoint away. */
  async stop(): Promise<void> {
    await this.#client.writePhysical(this.#gpa, this.#original);
  }

  /** What a breakpoint is answered that is ours. */
  readonly answer: EventAnswer = { action: "retry" };

  /** A line for a system call, "" for the step behind it, null for what is none of it. */
  async handle(event: KvmiEvent): Promise<string | null> {
    if (event.name === "singlestep") {
      await this.#client.writePhysical(this.#gpa, Uint8Array.of(INT3));
      await this.#client.controlSinglestep(event.vcpu, false);
      return "";
    }
    if (event.name !== "breakpoint" || event.state.regs.rip !== this.#entry) return null;
    const { regs, msrs } = event.state;
    await this.#client.writePhysical(this.#gpa, this.#original);
    await this.#client.controlSinglestep(event.vcpu, true);
    const name = this.#names[Number(regs.rax & 0xffffffffn)] ?? `syscall_${regs.rax}`;
    const { rdi, rsi, rdx } = regs;
    return `${await this.#who(msrs.shadow_gs)} ${name}(${[rdi, rsi, rdx].map(hex).join(", ")}, ...)`;
  }

  /** The running process: SWAPGS has not happened yet, so per-CPU data is where KERNEL_GS_BASE points. */
  async #who(percpu: bigint): Promise<string> {
    const reader = new GuestReader(this.#client);
    const task = await reader.u64(percpu + this.#current);
    const [comm, tgid] = await Promise.all([reader.read(task + this.#comm, TASK_COMM), reader.u32(task + this.#tgid)]);
    return `${new TextDecoder().decode(comm).replace(/\0.*$/s, "")}[${tgid}]`;
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
