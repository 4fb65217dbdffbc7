import type { LinuxKernel } from "./kernel.js";
import { type GuestReader, UnmappedError } from "./reader.js";
import { cString } from "./search.js";

/** One process of the guest, as its /proc would show it. */
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
const ARGS_MOST = 0x10000;
const TASKS_MOST = 1 << 20;

/**
 * The processes of the guest, by number. The guest should stand still meanwhile.
 *
 * Walks `init_task.tasks` with the offsets of the kernel's own BTF; states as in fs/proc/array.c, names as proc_task_name() has them.
 */
export async function processes(kernel: LinuxKernel, reader: GuestReader): Promise<readonly Process[]> {
  const layout = new TaskLayout(kernel);
  const head = kernel.symbol("init_task");
  const found: Process[] = [];
  const seen = new Set<bigint>([head]);
  let task = (await layout.read(reader, head)).next;
  while (!seen.has(task) && seen.size < TASKS_MOST) {
    seen.add(task);
    const { next, process } = await layout.read(reader, task);
    found.push(process);
    task = next;
  }
  return found.sort((a, b) => a.pid - b.pid);
}

const MEMBERS = [
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
  readonly #at: Readonly<Record<(typeof MEMBERS)[number], number>>;
  readonly #size: number;

  constructor(kernel: LinuxKernel) {
    this.#kernel = kernel;
    this.#at = Object.fromEntries(MEMBERS.map((name) => [name, kernel.offset("task_struct", name)])) as Record<
      (typeof MEMBERS)[number],
      number
    >;
    this.#size = Math.max(...Object.values(this.#at)) + TASK_COMM;
  }

  async read(reader: GuestReader, address: bigint): Promise<{ readonly next: bigint; readonly process: Process }> {
    const at = this.#at;
    const bytes = await reader.read(address, this.#size);
    const view = new DataView(bytes.buffer);
    const pointer = (name: (typeof MEMBERS)[number]): bigint => view.getBigUint64(at[name], true);
    const flags = view.getUint32(at.flags, true);
    const [parent, uid] = await Promise.all([
      reader.u32(pointer("real_parent") + BigInt(at.tgid)),
      reader.u32(pointer("cred") + BigInt(this.#kernel.offset("cred", "euid"))),
    ]);
    const comm = cString(bytes, at.comm, TASK_COMM);
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
      return at === 0n ? comm : cString(await readString(reader, at), 0);
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
    return `${comm}${work === 0n ? "-" : "+"}${cString(desc, 0, 24)}`.slice(0, NAME_MOST);
  }

  async #commandLine(reader: GuestReader, mm: bigint): Promise<string> {
    if (mm === 0n) return "";
    const member = (name: string): Promise<bigint> => reader.u64(mm + BigInt(this.#kernel.offset("mm_struct", name)));
    const [start, end, envEnd, pgd] = await Promise.all(["arg_start", "arg_end", "env_end", "pgd"].map(member));
    const root = await reader.translate(pgd as bigint);
    if (root === null || start === undefined || end === undefined || end <= start) return "";
    try {
      const bytes = await reader.readIn(root, start, Math.min(Number(end - start), ARGS_MOST));
      if (bytes[bytes.length - 1] === 0 || envEnd === undefined || envEnd <= end) return latin1(bytes);
      // setproctitle() has written over the environment: up to the first NUL.
      const more = await reader.readIn(root, start, Math.min(Number(envEnd - start), ARGS_MOST));
      const nul = more.indexOf(0);
      return latin1(nul < 0 ? more : more.subarray(0, nul + 1));
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

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** What is at `at` up to the end of its page, 64 bytes at most. */
function readString(reader: GuestReader, at: bigint): Promise<Uint8Array> {
  return reader.read(at, Math.min(NAME_MOST + 1, 4096 - Number(at & 0xfffn)));
}

/** The listing that busybox's `ps` prints: process, user number, arguments. */
export function formatProcesses(list: readonly Process[]): string {
  const rows = list.map(({ pid, uid, name, commandLine }) => {
    const short = name.slice(0, TASK_COMM - 1);
    return `${String(pid).padStart(5)} ${String(uid).padEnd(8)} ${argumentsOf(short, commandLine)}`;
  });
  return `${["PID   USER     COMMAND", ...rows].join("\n")}\n`;
}

/** Arguments, with the name in braces in front if the program is called otherwise; the name in brackets if there are none. */
function argumentsOf(name: string, commandLine: string): string {
  let end = commandLine.length;
  while (end > 0 && commandLine[end - 1] === "\0") end--;
  if (commandLine.length === 0) return `[${name}]`;
  const text = commandLine.slice(0, end);
  const [program = ""] = text.split(/[\0 ]/, 1);
  const base = program.slice(program.lastIndexOf("/") + 1).replace(/^-/, "");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what separates arguments
  const shown = text.replace(/[\x00-\x1f]/g, " ");
  return base.startsWith(name) ? shown : `{${name}} ${shown}`;
}
