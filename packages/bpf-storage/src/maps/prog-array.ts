import { ERRNO } from "../errors.js";
import { ProgramType } from "../uapi/program-types.js";
import type { HeldProgram, TailCallKind } from "./descriptors.js";
import type { MapDesc, MapHost, Status } from "./map.js";
import { SlotMap } from "./slots.js";

/** Types of programs that get the arguments of what they are attached to: in one array all are attached to the same. */
const WITH_ARGUMENTS: ReadonlySet<number> = new Set([
  ...[ProgramType.Tracing, ProgramType.Lsm, ProgramType.Ext, ProgramType.StructOps],
]);

/**
 * An array of programs, for tail calls. The first program that is put in, or that uses the array, decides what all others must be like
 * (kernel/bpf/core.c, `bpf_prog_map_compatible`).
 */
export class ProgArrayMap extends SlotMap {
  #owner: TailCallKind | null = null;

  /** @throws {BpfError} EINVAL, ENOMEM */
  constructor(host: MapHost, desc: MapDesc, id: number, programOf: (fd: number) => HeldProgram | Status) {
    super(host, desc, id, { objectOf: (fd) => this.#callee(programOf(fd)), readable: true });
  }

  /** What the programs of the array are like; null as long as there has been none. */
  get owner(): TailCallKind | null {
    return this.#owner;
  }

  /**
   * Whether a program goes with the array, be it that it is called or that it calls: the kernel asks for each array that a program uses when it is loaded
   * (-EINVAL). The first that is asked about does, and decides about the others.
   */
  admits(kind: TailCallKind): boolean {
    this.#owner ??= kind;
    const { type, jited, xdpHasFrags, expectedAttachType, attachedTo } = this.#owner;
    return (
      type === kind.type &&
      jited === kind.jited &&
      xdpHasFrags === kind.xdpHasFrags &&
      expectedAttachType === kind.expectedAttachType &&
      (attachedTo === kind.attachedTo || !WITH_ARGUMENTS.has(type))
    );
  }

  #callee(program: HeldProgram | Status): HeldProgram | Status {
    if (typeof program === "number") return program;
    return program.replaces || !this.admits(program.kind) ? -ERRNO.EINVAL : program;
  }
}
