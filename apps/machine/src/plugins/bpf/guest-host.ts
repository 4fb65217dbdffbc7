import {
  type Btf,
  BtfKind,
  findMember,
  type Owners,
  type Pair,
  type RunningTask,
  type RuntimeHost,
} from "@vm/bpf-storage";
import { halvesOf, u64 } from "@vm/cpu";
import { GuestOsError } from "@vm/kvmi";
import { NotResidentError } from "@vm/mmu";
import type { VcpuHandle } from "../../vcpu-handle.js";
import type { GuestKernel } from "./guest-kernel.js";
import type { TaskCells } from "./task-cells.js";

const MSR_KERNEL_GS_BASE = 0xc0000102;
/** Addresses from here on are the kernel's. */
const KERNEL_HALF = 1n << 63n;
const TASK_COMM = 16;
const NOBODY: RunningTask = { address: { low: 0, high: 0 }, pid: 0, tid: 0, uid: 0, gid: 0, comm: new Uint8Array() };

/** Where things are in the kernel's structures, bytes. */
interface TaskLayout {
  readonly current: bigint;
  readonly pid: bigint;
  readonly tgid: bigint;
  readonly comm: bigint;
  readonly cred: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
}

/** Time, and where programs put out what they have to tell. */
export interface GuestOutlets {
  /** Virtual ns. */
  readonly now: () => number;
  readonly perfEvent: NonNullable<RuntimeHost["perfEvent"]>;
  readonly records: NonNullable<RuntimeHost["records"]>;
  readonly trace: NonNullable<RuntimeHost["trace"]>;
}

/** Bytes from the start of a structure to a member. @throws {GuestOsError} */
export function memberOffset(btf: Btf, struct: string, path: string): number {
  const id = btf.find(struct, BtfKind.Struct);
  const member = id === null ? null : findMember(btf, id, path);
  if (member === null) throw new GuestOsError("no-member", `the kernel's struct ${struct} has no member ${path}`);
  const { bitOffset } = member;
  if (bitOffset % 8 === 0) return bitOffset / 8;
  throw new GuestOsError("implausible", `${path} in the kernel's struct ${struct} begins at bit ${bitOffset}`);
}

/** A booted kernel as what programs run in: its tasks, its time and its memory, seen from outside. */
export class GuestHost implements RuntimeHost {
  readonly cpus: number;
  readonly tasks: Owners;
  readonly #layout: TaskLayout;
  readonly #now: () => number;
  #vcpu: VcpuHandle;
  #task: RunningTask | null = null;

  /** @throws {GuestOsError} for a kernel without what this takes */
  constructor(
    vcpus: readonly VcpuHandle[],
    { symbols }: Pick<GuestKernel, "symbols">,
    btf: Btf,
    cells: TaskCells,
    { now, perfEvent, records, trace }: GuestOutlets,
  ) {
    this.cpus = vcpus.length;
    this.#vcpu = vcpus[0] as VcpuHandle;
    this.#now = now;
    this.perfEvent = perfEvent;
    this.records = records;
    this.trace = trace;
    const offset = (struct: string, path: string): bigint => BigInt(memberOffset(btf, struct, path));
    const hot = symbols.get("pcpu_hot");
    const current = hot === undefined ? symbols.get("current_task") : hot + offset("pcpu_hot", "current_task");
    if (current === undefined) throw new GuestOsError("no-symbol", "the kernel does not say which task is running");
    this.#layout = {
      current,
      pid: offset("task_struct", "pid"),
      tgid: offset("task_struct", "tgid"),
      comm: offset("task_struct", "comm"),
      cred: offset("task_struct", "cred"),
      uid: offset("cred", "uid"),
      gid: offset("cred", "gid"),
    };
    const usage = offset("task_struct", "usage");
    this.tasks = {
      cell: (low, high) => cells.cell(low, high),
      live: (cell) => {
        const at = cells.addressOf(cell);
        return at !== null && this.#u32(at + usage) !== 0;
      },
      fromFd: (pid) => cells.ofPid(pid),
    };
  }

  readonly perfEvent: GuestOutlets["perfEvent"];
  readonly records: GuestOutlets["records"];
  readonly trace: GuestOutlets["trace"];

  /** An event of this processor begins. */
  begin(vcpu: VcpuHandle): void {
    this.#vcpu = vcpu;
    this.#task = null;
  }

  readonly cpu = (): number => this.#vcpu.id;
  readonly now = (): bigint => BigInt(this.#now());
  readonly task = (): RunningTask => {
    this.#task ??= this.#running();
    return this.#task;
  };
  readonly readKernel = (low: number, high: number, into: Uint8Array): boolean => {
    const at = u64(low, high);
    return at >= KERNEL_HALF && this.#read(at, into);
  };
  readonly readUser = (low: number, high: number, into: Uint8Array): boolean => {
    const at = u64(low, high);
    return at < KERNEL_HALF && this.#read(at, into);
  };

  /** As in a kernel, where such a read does not wait: what has not arrived yet cannot be read (`copy_from_user_nofault`). */
  #read(at: bigint, into: Uint8Array): boolean {
    const bytes = arrived(() => this.#vcpu.memory.read(at, into.length));
    if (bytes === null) return false;
    into.set(bytes);
    return true;
  }

  #u32(at: bigint): number {
    const bytes = this.#vcpu.memory.read(at, 4);
    return bytes === null ? 0 : new DataView(bytes.buffer).getUint32(0, true);
  }

  #running(): RunningTask {
    const { cpu, memory, registers } = this.#vcpu;
    const base = registers.gsBase >= KERNEL_HALF ? registers.gsBase : u64(...cpu.msr(MSR_KERNEL_GS_BASE));
    const { current, pid, tgid, comm, cred, uid, gid } = this.#layout;
    const task = memory.readU64(BigInt.asUintN(64, base + current));
    if (task === null) return NOBODY;
    const [low, high] = halvesOf(task);
    const address: Pair = { low: low >>> 0, high: high >>> 0 };
    const name = memory.read(task + comm, TASK_COMM) ?? new Uint8Array();
    const end = name.indexOf(0);
    const credentials = memory.readU64(task + cred) ?? 0n;
    return {
      address,
      pid: this.#u32(task + tgid),
      tid: this.#u32(task + pid),
      uid: this.#u32(credentials + uid),
      gid: this.#u32(credentials + gid),
      comm: end < 0 ? name : name.subarray(0, end),
    };
  }
}

/** What `read` gives; null for memory that has not arrived. */
function arrived(read: () => Uint8Array | null): Uint8Array | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof NotResidentError) return null;
    throw error;
  }
}
