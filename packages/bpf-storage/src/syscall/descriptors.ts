import { ERRNO } from "../errors.js";
import type { Descriptors, HeldObject, HeldProgram, TailCallKind } from "../maps/descriptors.js";
import type { BpfMap, Status } from "../maps/map.js";
import { ProgramType } from "../uapi/program-types.js";
import type { PerfRing } from "./perf-ring.js";
import type { ProgramDetails, ProgramObject } from "./program-object.js";
import { ProgFlag } from "./program-rules.js";
import type { State } from "./state.js";
import { statusOf } from "./user-memory.js";

/** What a program must have in common with others of an array of programs. */
export const tailCallKind = (
  { type, attach, attachTo }: Pick<ProgramDetails, "type" | "attachTo"> & { readonly attach: number },
  flags: number,
): TailCallKind => ({
  ...{ type, jited: true, xdpHasFrags: (flags & ProgFlag.XdpHasFrags) !== 0, expectedAttachType: attach },
  attachedTo: attachTo?.proto ?? null,
});

/** What the descriptors of who calls name, for maps that hold objects. */
export function descriptorsOf(state: State, rings: PerfRings): Descriptors {
  const or = <T>(find: () => T): T | Status => {
    try {
      return find();
    } catch (error) {
      return statusOf(error);
    }
  };
  return {
    map: (fd): BpfMap | Status => or(() => state.map(fd).object.map),
    program: (fd): HeldProgram | Status => or(() => heldProgram(state.program(fd))),
    perfEvent: (fd): HeldObject | Status => {
      const ring = state.host.perfEvent?.(fd) ?? -ERRNO.EBADF;
      return typeof ring === "number" ? ring : rings.held(ring);
    },
    // Arrays of cgroups are for helpers that there are not.
    cgroup: () => -ERRNO.EBADF,
  };
}

function heldProgram(program: ProgramObject): HeldProgram {
  const { details } = program;
  const { type, attachTo, attachType: attach, xdpHasFrags } = details;
  return {
    word: program.program.executable.entry,
    id: program.id,
    kind: tailCallKind({ type, attachTo, attach }, xdpHasFrags ? ProgFlag.XdpHasFrags : 0),
    replaces: type === ProgramType.Ext,
    hold: () => void program.hold(),
    drop: () => program.put(),
  };
}

/** Rings of perf events by the words that stand for them in the slots of maps: their offsets. */
export class PerfRings {
  readonly #rings = new Map<number, { readonly ring: PerfRing; slots: number }>();

  /** The ring that a slot of a map holds. */
  at(word: number): PerfRing | undefined {
    return this.#rings.get(word)?.ring;
  }

  held(ring: PerfRing): HeldObject {
    return { word: ring.address, id: 0, hold: () => this.#hold(ring), drop: () => this.#drop(ring) };
  }

  #hold(ring: PerfRing): void {
    ring.hold();
    const held = this.#rings.get(ring.address);
    if (held === undefined) this.#rings.set(ring.address, { ring, slots: 1 });
    else held.slots++;
  }

  #drop(ring: PerfRing): void {
    const held = this.#rings.get(ring.address);
    if (held !== undefined && --held.slots === 0) this.#rings.delete(ring.address);
    ring.put();
  }
}
