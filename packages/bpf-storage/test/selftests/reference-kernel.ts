import {
  Arena,
  BpfRuntime,
  type Btf,
  coreTarget,
  type Generation,
  KERNEL_HIGH,
  type LoadedObject,
  type LoadedProgram,
  MapType,
  type Owners,
  type RuntimeHost,
  type TargetSystem,
} from "../../src/index.js";
import { Objects, pointer } from "./layout.js";
import { type OwnerKind, STORAGE_TYPES } from "./owner-kinds.js";
import { referenceOwners } from "./reference-owners.js";

export interface ReferenceDesc {
  readonly btf: Btf;
  readonly generation: Generation;
  /** Its configuration. Default: nothing is set. */
  readonly kconfig?: Readonly<Record<string, string>>;
  readonly engine?: "jit" | "interpreter";
}

/** Where per-CPU variables are: no memory of the arena, so that the host is asked. */
const PER_CPU = { low: 0x1000, high: 0xffffffff } as const;
/** Number of the hierarchy of version 1 (`cgroup1_get_from_fd`), which has classes of packets. */
export const HIERARCHY = 7;

/**
 * A kernel of the tests that has tasks, inodes, sockets and cgroups, laid out as its types say, and does to storage what Linux does to it: creates it for
 * owners that are alive, and frees it with them. Programs are attached to its events.
 */
export class ReferenceKernel {
  readonly arena = new Arena({ limit: 64 << 20 });
  readonly objects: Objects;
  readonly generation: Generation;
  readonly runtime: BpfRuntime;
  readonly system: TargetSystem;
  /** What descriptors stand for. */
  readonly fds = new Map<number, { readonly kind: OwnerKind; readonly object: number }>();
  readonly #owners: Readonly<Record<OwnerKind, Owners>>;
  readonly #attached = new Map<string, LoadedProgram[]>();
  /** References to cgroups that programs have taken and not given back. */
  heldCgroups = 0;
  /** By task, the cgroup that it is in, in the hierarchy of version 1. */
  readonly #classes = new Map<number, number>();
  readonly #cookies = new Map<number, number>();
  #running: number;
  #nextFd = 3;
  #nextCookie = 1;

  constructor({ btf, generation, kconfig = {}, engine = "jit" }: ReferenceDesc) {
    this.generation = generation;
    this.objects = new Objects(this.arena, btf);
    this.#owners = referenceOwners(this);
    this.#running = this.fork(0, { comm: "swapper" });
    this.runtime = new BpfRuntime({ arena: this.arena, generation, engine, host: this.#host() });
    this.runtime.entered = (name, owner, map, ...rest) => {
      this.fire(`fentry/${name}`, [pointer(owner ?? 0), pointer(map ?? 0), ...rest.map(BigInt)]);
    };
    this.system = {
      types: coreTarget(btf),
      kconfig: (name) => kconfig[name],
      symbol: (name) => (name === "bpf_task_storage_busy" ? BigInt(PER_CPU.low) : undefined),
    };
  }

  #host(): RuntimeHost {
    const { tasks, inodes, sockets, cgroups } = this.#owners;
    return {
      now: () => 0n,
      task: () => ({
        address: { low: this.#running, high: KERNEL_HIGH },
        pid: this.objects.get(this.#running, "task_struct.tgid"),
        tid: this.objects.get(this.#running, "task_struct.pid"),
        ...{ uid: 0, gid: 0, comm: new Uint8Array() },
      }),
      ...{ tasks, inodes, sockets },
      ...(this.generation === "6.1" ? {} : { cgroups }),
      cgroupReferences: {
        acquire: () => this.#hold(1),
        release: () => void this.#hold(-1),
        find: () => null,
      },
      taskCgroup1: ({ low }, hierarchy) => {
        const cgroup = hierarchy === HIERARCHY ? (this.#classes.get(low) ?? 0) : 0;
        return cgroup !== 0 && this.#hold(1) ? { low: cgroup, high: KERNEL_HIGH } : null;
      },
      tcpSocket: (low, high) => sockets.cell(low, high) !== 0,
      socketCookie: (low) => ({ low: this.cookieOf(low), high: 0 }),
      perCpu: () => PER_CPU,
      readKernel: (low, high, into) => {
        if (low !== PER_CPU.low || high !== PER_CPU.high) return false;
        new DataView(into.buffer, into.byteOffset).setUint32(0, this.busy, true);
        return true;
      },
    };
  }

  #hold(more: number): true {
    this.heldCgroups += more;
    return true;
  }

  /** Puts a task into a cgroup of version 1. */
  join(task: number, cgroup: number): void {
    this.#classes.set(task, cgroup);
  }

  /** Times that the CPU is inside of the storage of tasks (`bpf_task_storage_busy`). */
  get busy(): number {
    return this.runtime.storages.get(MapType.TaskStorage)?.helpers.busy ?? 0;
  }

  /** The number that tells a socket from others. */
  cookieOf(sock: number): number {
    const known = this.#cookies.get(sock) ?? this.#nextCookie++;
    this.#cookies.set(sock, known);
    return known;
  }

  /** A descriptor of an object. */
  open(kind: OwnerKind, object: number): number {
    const fd = this.#nextFd++;
    this.fds.set(fd, { kind, object });
    return fd;
  }

  /** What a descriptor stands for. @throws {RangeError} */
  at(fd: number): number {
    const found = this.fds.get(fd);
    if (found === undefined) throw new RangeError(`no descriptor ${fd}`);
    return found.object;
  }

  /** Attaches all programs of an object. */
  attach({ programs }: Pick<LoadedObject, "programs">): void {
    for (const program of programs) {
      const hook = hookOf(program);
      this.#attached.set(hook, [...(this.#attached.get(hook) ?? []), program]);
    }
  }

  detach({ programs }: Pick<LoadedObject, "programs">): void {
    for (const [hook, attached] of this.#attached)
      this.#attached.set(
        hook,
        attached.filter((each) => !programs.includes(each)),
      );
  }

  /** Something happens: programs run that are attached to it. @returns what the first of them returns that is not 0, or 0 */
  fire(hook: string, words: readonly bigint[]): number {
    let result = 0;
    for (const { program } of this.#attached.get(hook) ?? []) {
      const returned = program.runTraced(words);
      if (result === 0) result = returned;
    }
    return result;
  }

  /** Something happens whose programs are told of it by a structure of linux/bpf.h. */
  fireWith(hook: string, context: number): void {
    for (const { program } of this.#attached.get(hook) ?? []) program.run(context);
  }

  /** A new task, in a cgroup if it is told. */
  fork(pid: number, { comm = "test", cgroup = 0 } = {}): number {
    const { objects } = this;
    const task = objects.make("task_struct");
    for (const field of ["pid", "tgid"]) objects.set(task, `task_struct.${field}`, pid);
    objects.set(task, "task_struct.usage.refs.counter", 1);
    objects.text(task, "task_struct.comm", comm);
    const set = objects.make("css_set");
    objects.point(set, "css_set.dfl_cgrp", cgroup);
    objects.point(task, "task_struct.cgroups", set);
    return task;
  }

  /** From now on this task runs. */
  run(task: number): void {
    this.#running = task;
  }

  get running(): number {
    return this.#running;
  }

  /** The running task makes a system call. @param during what the call does */
  systemCall(during: () => void = () => undefined): void {
    for (const kind of ["tp_btf", "raw_tp"]) this.fire(`${kind}/sys_enter`, [0n, 0n]);
    during();
    this.fire("tp_btf/sys_exit", [0n, 0n]);
  }

  /** The last reference to a task is given up: storage goes first, then credentials (`__put_task_struct`). */
  putTask(task: number): void {
    const { objects } = this;
    objects.set(task, "task_struct.usage.refs.counter", 0);
    this.release("tasks", task);
    this.fire("fentry/exit_creds", [pointer(task)]);
    this.arena.free(objects.follow(task, "task_struct.cgroups"));
    this.freed(task);
  }

  /** A cgroup, whose number is that of its node in the file system. */
  makeCgroup(id: number): number {
    const { objects } = this;
    const [cgroup, node] = [objects.make("cgroup"), objects.make("kernfs_node")];
    objects.set(node, "kernfs_node.id", id);
    objects.point(cgroup, "cgroup.kn", node);
    return cgroup;
  }

  /** A cgroup is removed: it lives on while somebody holds it, but is dying (`percpu_ref_kill`). */
  killCgroup(cgroup: number): void {
    this.objects.set(cgroup, "cgroup.self.refcnt.percpu_count_ptr", 2);
  }

  /** The last reference to a cgroup is given up. */
  freeCgroup(cgroup: number): void {
    this.release("cgroups", cgroup);
    this.arena.free(this.objects.follow(cgroup, "cgroup.kn"));
    this.freed(cgroup);
  }

  /** The storage of an object that is freed goes. */
  release(kind: OwnerKind, object: number): void {
    const cell = this.#owners[kind].cell(object, KERNEL_HIGH);
    if (cell !== 0) this.runtime.release(STORAGE_TYPES[kind], cell);
  }

  /** A socket that is accepted is made of the one that listens (`bpf_sk_storage_clone`). */
  cloneStorage(listening: number, accepted: number): void {
    const [from, to] = [listening, accepted].map((sock) => this.#owners.sockets.cell(sock, KERNEL_HIGH));
    if (this.runtime.cloneStorage(from as number, to as number) !== 0) throw new RangeError("no memory for a clone");
  }

  /** An object and its descriptors are gone; programs that run may still look at it. */
  freed(object: number): void {
    for (const [fd, { object: other }] of this.fds) if (other === object) this.fds.delete(fd);
    this.#cookies.delete(object);
    this.runtime.rcu.call(() => this.arena.free(object));
  }
}

/** What a program is attached to; sleepable programs to the same as others. */
const hookOf = ({ from }: LoadedProgram): string => from.section.replace(/^(\w+)\.s\//, "$1/");
