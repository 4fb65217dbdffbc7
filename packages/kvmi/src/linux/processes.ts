import { GuestOsError, UnmappedError } from "./errors.js";
import type { LinuxKernel } from "./kernel.js";
import type { GuestReader } from "./reader.js";
import { decodeText } from "./text.js";

/** One process of the guest, as its /proc would show it. Text is the guest's own, any characters whatever, as {@link decodeText} reads it. */
export interface Process {
  readonly pid: number;
  /** 0 for the first ones. */
  readonly ppid: number;
  /** Effective user. */
  readonly uid: number;
  /** As in /proc/PID/stat: with what a worker works on, up to 63 bytes. */
  readonly name: string;
  /** R S D T t X Z P I. */
  readonly state: string;
  /** Arguments, each ended by NUL as in /proc/PID/cmdline; empty for kernel threads and zombies. */
  readonly commandLine: string;
}

const TASK_COMM = 16;
const NAME_MOST = 63;
const PF_WQ_WORKER = 0x20;
const PF_KTHREAD = 0x200000;
const TASK_REPORT = 0x7f;
/** TASK_UNINTERRUPTIBLE | TASK_NOLOAD. */
const TASK_IDLE = 0x402;
const STATES = "RSDTtXZP";
/** Bytes of arguments, of a process and of all; of those behind that, no more than a few are read. */
const ARGS_MOST = 0x10000;
const ALL_ARGS_MOST = 16 << 20;
const FEW_ARGS = 1024;
/** Processes of a guest. */
const TASKS_MOST = 1 << 16;
/** Bytes of task_struct. */
const TASK_MOST = 1 << 16;

/**
 * The processes of the guest, by number. The guest should stand still meanwhile.
 *
 * @throws {GuestOsError} if its task list makes no sense: it leads where nothing is mapped, or has more than 65 536 entries
 *
 * Walks `init_task.tasks` with the offsets of the kernel's own BTF; states as in fs/proc/array.c, names as proc_task_name() has them.
 */
export async function processes(kernel: LinuxKernel, reader: GuestReader): Promise<readonly Process[]> {
  const layout = new TaskLayout(kernel);
  const head = kernel.symbol("init_task");
  const found: Process[] = [];
  const seen = new Set<bigint>([head]);
  let task = (await layout.read(reader, head)).next;
  while (!seen.has(task)) {
    if (found.length === TASKS_MOST)
      throw new GuestOsError("implausible", `the kernel's task list has more than ${TASKS_MOST} entries`);
    seen.add(task);
    const { next, process } = await layout.read(reader, task);
    found.push(process);
    task = next;
  }
  return found.sort((a, b) => a.pid - b.pid);
}

/** What is read of task_struct. */
export const TASK_MEMBERS = [
  "tasks",
  "tgid",
  "real_parent",
  "comm",
  "__state",
  "exit_state",
  "flags",
  "cred",
  "mm",
  "worker_private",
] as const;

/** Where things are in task_struct and what it leads to. */
class TaskLayout {
  readonly #kernel: LinuxKernel;
  readonly #at: Readonly<Record<(typeof TASK_MEMBERS)[number], number>>;
  readonly #size: number;
  /** Bytes of arguments that have been read. */
  #argumentBytes = 0;

  constructor(kernel: LinuxKernel) {
    this.#kernel = kernel;
    this.#at = Object.fromEntries(TASK_MEMBERS.map((name) => [name, kernel.offset("task_struct", name)])) as Record<
      (typeof TASK_MEMBERS)[number],
      number
    >;
    this.#size = Math.max(...Object.values(this.#at)) + TASK_COMM;
    if (this.#size > TASK_MOST)
      throw new GuestOsError("implausible", `the kernel's struct task_struct has ${this.#size} bytes`);
  }

  async read(reader: GuestReader, address: bigint): Promise<{ readonly next: bigint; readonly process: Process }> {
    const at = this.#at;
    const bytes = await reader.read(address, this.#size);
    const view = new DataView(bytes.buffer);
    const pointer = (name: (typeof TASK_MEMBERS)[number]): bigint => view.getBigUint64(at[name], true);
    const flags = view.getUint32(at.flags, true);
    const [parent, uid] = await Promise.all([
      reader.u32(pointer("real_parent") + BigInt(at.tgid)),
      reader.u32(pointer("cred") + BigInt(this.#kernel.offset("cred", "euid"))),
    ]);
    const comm = text(bytes.subarray(at.comm, at.comm + TASK_COMM));
    const kthread = pointer("worker_private");
    const process = {
      pid: view.getUint32(at.tgid, true),
      ppid: parent,
      uid,
      name: (flags & PF_KTHREAD) !== 0 ? await this.#threadName(reader, comm, flags, kthread) : comm,
      state: stateOf(view.getUint32(at.__state, true), view.getUint32(at.exit_state, true)),
      commandLine: (flags & PF_KTHREAD) !== 0 ? "" : await this.#commandLine(reader, pointer("mm")),
    };
    return { next: pointer("tasks") - BigInt(at.tasks), process };
  }

  /** Kernel threads may have longer names than fit `comm`, and workers tell what they work on. */
  async #threadName(reader: GuestReader, comm: string, flags: number, kthread: bigint): Promise<string> {
    if (kthread === 0n) return comm;
    const { types } = this.#kernel;
    if ((flags & PF_WQ_WORKER) === 0) {
      const full = types.member("kthread", "full_name");
      const at = full === null ? 0n : await reader.u64(kthread + BigInt(full.offset));
      return at === 0n ? comm : text(await readString(reader, at));
    }
    const worker = await reader.u64(kthread + BigInt(this.#kernel.offset("kthread", "data")));
    if (worker === 0n) return comm;
    const member = (name: string): bigint => worker + BigInt(this.#kernel.offset("worker", name));
    const [pool, work, desc] = await Promise.all([
      reader.u64(member("pool")),
      reader.u64(member("current_work")),
      reader.read(member("desc"), 24),
    ]);
    if (pool === 0n || desc[0] === 0) return comm;
    return `${comm}${work === 0n ? "-" : "+"}${text(desc)}`.slice(0, NAME_MOST);
  }

  async #commandLine(reader: GuestReader, mm: bigint): Promise<string> {
    if (mm === 0n) return "";
    const member = (name: string): Promise<bigint> => reader.u64(mm + BigInt(this.#kernel.offset("mm_struct", name)));
    const [start, end, envEnd, pgd] = await Promise.all(["arg_start", "arg_end", "env_end", "pgd"].map(member));
    const root = await reader.translate(pgd as bigint);
    if (root === null || start === undefined || end === undefined || end <= start) return "";
    try {
      const most = this.#argumentBytes < ALL_ARGS_MOST ? ARGS_MOST : FEW_ARGS;
      const bytes = await reader.readIn(root, start, Math.min(Number(end - start), most));
      this.#argumentBytes += bytes.length;
      if (bytes[bytes.length - 1] === 0 || envEnd === undefined || envEnd <= end) return decodeText(bytes);
      // setproctitle() has written over the environment: up to the first NUL.
      const more = await reader.readIn(root, start, Math.min(Number(envEnd - start), most));
      const nul = more.indexOf(0);
      return decodeText(nul < 0 ? more : more.subarray(0, nul + 1));
    } catch (error) {
      // Paged out or not there any more: /proc shows nothing either.
      if (error instanceof UnmappedError) return "";
      throw error;
    }
  }
}

function stateOf(state: number, exitState: number): string {
  if ((state & TASK_IDLE) === TASK_IDLE && exitState === 0) return "I";
  const reported = (state | exitState) & TASK_REPORT;
  return STATES[32 - Math.clz32(reported)] ?? "?";
}

/** Text up to its NUL. */
function text(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  return decodeText(nul < 0 ? bytes : bytes.subarray(0, nul));
}

/** What is at `at` up to the end of its page, 64 bytes at most. */
function readString(reader: GuestReader, at: bigint): Promise<Uint8Array> {
  return reader.read(at, Math.min(NAME_MOST + 1, 4096 - Number(at & 0xfffn)));
}
