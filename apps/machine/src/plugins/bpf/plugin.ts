import {
  Arena,
  type BpfMap,
  BpfRuntime,
  Btf,
  coreTarget,
  type LoadedObject,
  loadInTurns,
  MapType,
  RingbufMap,
  StorageMap,
} from "@vm/bpf-storage";
import { callAll, type Disposer } from "../../emitter.js";
import type { MachineHandle, Plugin } from "../../plugin.js";
import type { VcpuHandle } from "../../vcpu-handle.js";
import { Attacher } from "./attach.js";
import { whenFirstProgramRuns } from "./first-program.js";
import { GuestHost } from "./guest-host.js";
import { guestKernel } from "./guest-kernel.js";
import { functionArguments } from "./shadow.js";
import { TaskCells } from "./task-cells.js";

/** The kernel calls this when it frees a task, with the task, and its storage with it. */
const TASK_FREE = "bpf_task_storage_free";

/** A record that a program has put out. */
export interface BpfRecord {
  /** Name of the map. */
  readonly map: string;
  readonly cpu: number;
  readonly bytes: Uint8Array;
}

export interface BpfPluginDesc {
  /** What clang made. */
  readonly object: Uint8Array;
  readonly engine?: "jit" | "interpreter";
  readonly onRecord?: (record: BpfRecord) => void;
  /** A line that a program has printed (`bpf_printk`). */
  readonly onPrint?: (line: string) => void;
  /** The programs are attached. */
  readonly onAttached?: (attached: AttachedBpf) => void;
  /** They could not be; the guest goes on. */
  readonly onError: (error: unknown) => void;
}

/** What a task of the guest has in a map. */
export interface TaskValue {
  /** Of its `task_struct`. */
  readonly address: bigint;
  readonly value: Uint8Array;
}

/** Programs that look into a guest. */
export interface AttachedBpf {
  readonly runtime: BpfRuntime;
  readonly loaded: LoadedObject;
  /** Types of the guest's kernel. */
  readonly kernel: Btf;
  /** What the guest's tasks have in a map of task storage: a value for each that has one. @throws {RangeError} for another map */
  taskStorage(map: string): Generator<TaskValue>;
  /** Events whose arguments could not be made out. */
  readonly lost: number;
}

/**
 * Attaches programs to the events of a Linux guest, which has no part in it: neither its memory changes nor what it executes. They are loaded when its first
 * program runs, fitted to the types that its kernel has in memory; storage of tasks is that of its tasks, and goes with them.
 */
export function bpf(desc: BpfPluginDesc): Plugin {
  return {
    name: "bpf",
    observer: true,
    install(machine) {
      const disposers: Disposer[] = [];
      const begin = async (vcpu: VcpuHandle): Promise<void> => {
        const attached = await attach(machine, vcpu, desc, disposers);
        desc.onAttached?.(attached);
      };
      disposers.push(whenFirstProgramRuns(machine, begin, desc.onError));
      return () => void callAll(disposers.reverse());
    },
  };
}

async function attach(
  machine: MachineHandle,
  vcpu: VcpuHandle,
  { object, engine = "jit", onRecord, onPrint = () => undefined }: BpfPluginDesc,
  disposers: Disposer[],
): Promise<AttachedBpf> {
  const { vcpus, memory, clock } = machine;
  const kernel = await guestKernel(machine, vcpu);
  const btf = await Btf.parse(kernel.btf);
  const names = new Map<number, string>();
  const perfEvent = (map: number, cpu: number, bytes: Uint8Array): boolean => {
    onRecord?.({ map: names.get(map) ?? "", cpu, bytes });
    return true;
  };
  const records = (map: number): void => {
    const ring = runtime.maps.get(map);
    if (!(ring instanceof RingbufMap)) return;
    for (const bytes of ring.consume()) onRecord?.({ map: names.get(map) ?? "", cpu: guest.cpu(), bytes });
  };
  const arena = new Arena();
  const tasks = new TaskCells(arena);
  const guest = new GuestHost(vcpus, kernel, btf, tasks, {
    now: () => clock.now(),
    perfEvent,
    records,
    trace: onPrint,
  });
  const runtime = new BpfRuntime({ host: guest, engine, arena });
  const loaded = await loadInTurns(runtime, object, {
    types: coreTarget(btf),
    kconfig: () => undefined,
    symbol: (name) => kernel.symbols.get(name),
  });
  for (const [name, map] of loaded.maps) names.set(map.id, name);
  const attacher = new Attacher({ vcpus, memory, kernel, btf, guest });
  for (const program of loaded.programs) disposers.push(attacher.attach(program));
  disposers.push(whenTasksGo(vcpus, kernel.symbols.get(TASK_FREE), runtime, tasks));
  return {
    ...{ runtime, loaded, kernel: btf },
    taskStorage: (name) => taskStorage(runtime, tasks, loaded.maps.get(name)),
    get lost() {
      return attacher.lost;
    },
  };
}

function* taskStorage({ arena }: BpfRuntime, tasks: TaskCells, map: BpfMap | undefined): Generator<TaskValue> {
  if (!(map instanceof StorageMap)) throw new RangeError("no map of task storage has that name");
  for (const { address, cell } of tasks.tasks()) {
    const value = map.valueOf(cell);
    if (value !== 0) yield { address, value: arena.read(value, map.desc.valueSize) };
  }
}

/** Has the storage of a task go with it. */
function whenTasksGo(
  vcpus: readonly VcpuHandle[],
  free: bigint | undefined,
  runtime: BpfRuntime,
  tasks: TaskCells,
): Disposer {
  if (free === undefined) return () => undefined;
  const ends = vcpus.map(({ breakpoint, cpu }) =>
    breakpoint(free, () => {
      const [task = 0n] = functionArguments(cpu);
      const cell = tasks.known(task);
      if (cell === undefined) return;
      runtime.release(MapType.TaskStorage, cell);
      tasks.forget(task);
    }),
  );
  return () => void callAll(ends);
}
