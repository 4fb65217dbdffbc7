import { ERRNO } from "../errors.js";
import { SlotMap } from "../maps/slots.js";
import type { BpfRuntime } from "../runtime/runtime.js";
import type { Generation } from "../storage/storage-helpers.js";
import { finish, type Work } from "../work.js";
import { Attributes, BindAttr } from "./attributes.js";
import { btfLoad } from "./btf-load.js";
import { ATTRIBUTE_BYTES, Command, exists, USED } from "./commands.js";
import { descriptorsOf, PerfRings } from "./descriptors.js";
import type { BpfFile } from "./file.js";
import type { SyscallHost } from "./host.js";
import { mapById, nextId, objectById } from "./ids.js";
import * as links from "./links.js";
import { deleteBatch, lookupAndDeleteBatch, lookupBatch, updateBatch } from "./map-batch.js";
import { mapCreate } from "./map-create.js";
import * as elements from "./map-elements.js";
import { type MapMapping, type MapRequest, mapMemory } from "./map-memory.js";
import { objectInfo } from "./object-info.js";
import { open, pin } from "./pins.js";
import { programLoad } from "./program-load.js";
import { State } from "./state.js";
import { testRun } from "./test-run.js";
import { statusOf } from "./user-memory.js";

type Handler = (state: State, attr: Attributes) => number;

/** What each command does; BPF_PROG_LOAD is apart, because it may take long. */
const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [Command.MapCreate, mapCreate],
  [Command.MapLookupElem, elements.lookup],
  [Command.MapUpdateElem, elements.update],
  [Command.MapDeleteElem, elements.remove],
  [Command.MapGetNextKey, elements.nextKey],
  [Command.MapLookupAndDeleteElem, elements.lookupAndDelete],
  [Command.MapFreeze, elements.freeze],
  [Command.MapLookupBatch, lookupBatch],
  [Command.MapLookupAndDeleteBatch, lookupAndDeleteBatch],
  [Command.MapUpdateBatch, updateBatch],
  [Command.MapDeleteBatch, deleteBatch],
  [Command.ObjPin, pin],
  [Command.ObjGet, open],
  [Command.ProgAttach, links.programAttach],
  [Command.ProgDetach, links.programDetach],
  [Command.ProgQuery, links.programQuery],
  [Command.ProgTestRun, testRun],
  [Command.ProgBindMap, bindMap],
  [Command.ProgGetNextId, (state, attr) => nextId(state, attr, state.programs)],
  [Command.MapGetNextId, (state, attr) => nextId(state, attr, state.maps)],
  [Command.BtfGetNextId, (state, attr) => nextId(state, attr, state.btfs)],
  [Command.LinkGetNextId, (state, attr) => nextId(state, attr, state.links)],
  [Command.MapGetFdById, mapById],
  [Command.ProgGetFdById, (state, attr) => objectById(state, attr, state.programs)],
  [Command.BtfGetFdById, (state, attr) => objectById(state, attr, state.btfs)],
  [Command.LinkGetFdById, (state, attr) => objectById(state, attr, state.links)],
  [Command.ObjGetInfoByFd, objectInfo],
  [Command.BtfLoad, btfLoad],
  [Command.RawTracepointOpen, links.rawTracepointOpen],
  [Command.LinkCreate, links.linkCreate],
  [Command.LinkUpdate, links.linkUpdate],
  [Command.LinkDetach, links.linkDetach],
  [Command.IterCreate, links.iterCreate],
  [Command.EnableStats, enableStats],
  [Command.TaskFdQuery, taskFdQuery],
  // There are no tokens: file systems that could delegate are not here.
  [Command.TokenCreate, () => -ERRNO.EOPNOTSUPP],
]);

/** BPF_PROG_BIND_MAP: the program holds the map, though it does not use it. */
function bindMap(state: State, attr: Attributes): number {
  if (attr.u32(BindAttr.flags) !== 0) return -ERRNO.EINVAL;
  const program = state.program(attr.u32(BindAttr.progFd));
  const { object } = state.map(attr.u32(BindAttr.mapFd));
  if (!program.maps.includes(object)) program.maps.push(object.hold());
  return 0;
}

/** BPF_ENABLE_STATS. @returns a descriptor: as long as it is open, runs are counted */
function enableStats(state: State, attr: Attributes): number {
  state.need("CAP_SYS_ADMIN");
  // BPF_STATS_RUN_TIME is all there is.
  return attr.u32(0) === 0 ? state.install(state.count()) : -ERRNO.EINVAL;
}

function taskFdQuery(state: State, attr: Attributes): number {
  state.need("CAP_SYS_ADMIN");
  if (attr.u32(8) !== 0) return -ERRNO.EINVAL;
  return state.host.taskFdQuery?.(attr.u32(0), attr.u32(4), attr.bytes) ?? -ERRNO.ENOTSUPP;
}

/**
 * The system call bpf(2), for a system that has none: maps, programs, type information, links and pins of a {@link BpfRuntime}, with the structures and errors
 * of Linux 6.1 or 6.12. The host gives it descriptors and the caller's memory; what callers do is never an exception.
 *
 * @example
 * const syscalls = new BpfSyscalls(runtime, host);
 * const fd = syscalls.bpf(Command.MapCreate, attributesInTheCallersMemory, 72);
 */
export class BpfSyscalls {
  readonly #state: State;
  readonly #rings = new PerfRings();

  /**
   * @param runtime whose maps of objects are told the host's descriptors from now on
   * @param generation whose commands and errors there are; the runtime is made for the same. Default: 6.12
   */
  constructor(runtime: BpfRuntime, host: SyscallHost, generation: Generation = "6.12") {
    this.#state = new State(runtime, host, generation);
    runtime.descriptors = descriptorsOf(this.#state, this.#rings);
  }

  /**
   * The system call.
   * @param address of `union bpf_attr` in the caller's memory
   * @param size bytes of it that the caller gives, unsigned
   * @returns what it returns on Linux: 0, a descriptor, or a negative errno
   */
  bpf(command: number, address: number, size: number): number {
    return finish(this.calling(command, address, size));
  }

  /** {@link bpf}, with stops at which others may have their turn: programs that are loaded can take seconds to be verified. */
  *calling(command: number, address: number, size: number): Work<number> {
    try {
      return yield* this.#call(command, address, size);
    } catch (error) {
      return statusOf(error);
    }
  }

  *#call(command: number, address: number, size: number): Work<number> {
    const state = this.#state;
    const { generation, memory } = state;
    const makes = command === Command.MapCreate || command === Command.ProgLoad;
    // Generation 6.1 asks before it looks at anything.
    if (generation === "6.1" && makes && state.host.unprivileged !== true) state.need("CAP_BPF");
    const known = ATTRIBUTE_BYTES[generation];
    memory.checkTail(address, known, size);
    const given = Math.min(size, known);
    const bytes = new Uint8Array(known);
    bytes.set(memory.read(address, given));
    const attr = new Attributes(bytes, address, given, memory);
    const used = USED.get(command as Command);
    if (used === undefined || !exists(command as Command, generation)) return -ERRNO.EINVAL;
    if (!attr.zeroFrom(used[generation])) return -ERRNO.EINVAL;
    state.sweep();
    if (command === Command.ProgLoad) return yield* programLoad(state, attr);
    return (HANDLERS.get(command) as Handler)(state, attr);
  }

  /**
   * What memory is behind a mapping of a map's descriptor (mmap(2)): of arrays with BPF_F_MMAPABLE, and of ring buffers.
   * @returns a negative errno if it cannot be mapped so
   */
  mmap({ object, access }: BpfFile, request: MapRequest): MapMapping | number {
    return object.kind === "map" ? mapMemory(object, access, request) : -ERRNO.ENODEV;
  }

  /**
   * A record that a program puts into a perf event array, as `RuntimeHost.perfEvent` is told.
   * @param index the slot, which is that of the CPU
   * @returns whether there is a ring in it
   */
  perfOutput(mapId: number, index: number, bytes: Uint8Array): boolean {
    const map = this.#state.runtime.maps.get(mapId);
    const ring = map instanceof SlotMap ? this.#rings.at(map.word(index)) : undefined;
    ring?.output(bytes);
    return ring !== undefined;
  }
}
