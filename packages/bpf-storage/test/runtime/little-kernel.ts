import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  Arena,
  type BpfMap,
  BpfRuntime,
  type Btf,
  coreTarget,
  ERRNO,
  type Generation,
  KERNEL_HIGH,
  type LoadedObject,
  loadInto,
  loadObject,
  MapType,
  StorageMap,
} from "../../src/index.js";

/** A task: its number, its reference count, and the word for its storage. */
const TASK = { pid: 0, usage: 4, storage: 8, size: 16 };

/** The bytes of one of the programs here. */
export const object = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`programs/${name}.bpf.o`, import.meta.url))));

/** What the kernel says of itself. */
const TYPES = coreTarget(loadObject(object("kernel-types")).btf as Btf);

/** Tasks that make system calls and end, and programs that are attached to that. */
export class LittleKernel {
  readonly arena = new Arena({ limit: 64 << 20 });
  readonly runtime: BpfRuntime;
  /** By file descriptor, which is the number of the task here. */
  readonly #tasks = new Map<number, number>();
  readonly #programs = new Map<string, LoadedObject["programs"][number][]>();
  #running = 0;

  constructor({
    generation = "6.12",
    engine = "jit",
  }: { generation?: Generation; engine?: "jit" | "interpreter" } = {}) {
    const { arena } = this;
    this.runtime = new BpfRuntime({
      arena,
      generation,
      engine,
      host: {
        now: () => 0n,
        task: () => ({
          address: { low: this.#running, high: KERNEL_HIGH },
          ...{ pid: arena.u32(this.#running), tid: arena.u32(this.#running), uid: 0, gid: 0, comm: new Uint8Array() },
        }),
        tasks: {
          cell: (low, high) => (high === KERNEL_HIGH ? low + TASK.storage : 0),
          cellOffset: TASK.storage,
          live: (cell) => arena.u32(cell - TASK.storage + TASK.usage) !== 0,
          fromFd: (fd) => {
            const task = this.#tasks.get(fd);
            return task === undefined ? -ERRNO.EBADF : task + TASK.storage;
          },
        },
      },
    });
    this.runtime.entered = (name, ...args) => this.#fire(`fentry/${name}`, args.map(BigInt));
  }

  /** Loads an object, and attaches its programs. */
  attach(name: string): LoadedObject {
    const loaded = loadInto(this.runtime, object(name), {
      types: TYPES,
      kconfig: () => undefined,
      symbol: () => undefined,
    });
    for (const program of loaded.programs) {
      const { section } = program.from;
      this.#programs.set(section, [...(this.#programs.get(section) ?? []), program]);
    }
    return loaded;
  }

  /** A new task. */
  fork(pid: number): void {
    const task = this.arena.alloc(TASK.size);
    this.arena.setU32(task + TASK.pid, pid);
    this.arena.setU32(task + TASK.usage, 1);
    this.#tasks.set(pid, task);
  }

  systemCall(pid: number): void {
    this.#running = this.#task(pid);
    this.#fire("tp_btf/sys_enter", [0n, 186n]);
    this.#fire("tp_btf/sys_exit", [0n, 0n]);
  }

  /** The last reference to the task is given up, as __put_task_struct() does with it: storage first, then credentials. */
  exit(pid: number): void {
    const task = this.#task(pid);
    this.arena.setU32(task + TASK.usage, 0);
    this.runtime.release(MapType.TaskStorage, task + TASK.storage);
    this.#fire("fentry/exit_creds", [(BigInt(KERNEL_HIGH) << 32n) | BigInt(task)]);
    this.#tasks.delete(pid);
    this.arena.free(task);
  }

  /** The number that a task has in a map, as who looks from outside finds it; or a negative errno. */
  number(map: BpfMap | undefined, pid: number): number {
    if (!(map instanceof StorageMap)) throw new RangeError("no storage");
    const key = this.arena.alloc(4);
    this.arena.setU32(key, pid);
    const value = map.lookup(key);
    this.arena.free(key);
    if (value < 0) return value;
    return value === 0 ? -ERRNO.ENOENT : this.arena.u32(value);
  }

  #task(pid: number): number {
    const task = this.#tasks.get(pid);
    if (task === undefined) throw new RangeError(`no task ${pid}`);
    return task;
  }

  #fire(section: string, words: readonly bigint[]): void {
    for (const { program } of this.#programs.get(section) ?? []) program.runTraced(words);
  }
}

/** A variable of an object, of 32 bits. */
export class Variable {
  constructor(
    readonly kernel: LittleKernel,
    readonly loaded: LoadedObject,
    readonly name: string,
  ) {}

  get #at(): number {
    for (const { name, variables } of this.loaded.object.maps) {
      const found = variables.find((each) => each.name === this.name);
      const map = this.loaded.maps.get(name);
      if (found === undefined || map === undefined) continue;
      const key = this.kernel.arena.alloc(4);
      const value = map.lookup(key);
      this.kernel.arena.free(key);
      return value + found.offset;
    }
    throw new RangeError(`no variable ${this.name}`);
  }

  get value(): number {
    return this.kernel.arena.u32(this.#at);
  }

  set value(value: number) {
    this.kernel.arena.setU32(this.#at, value);
  }
}
