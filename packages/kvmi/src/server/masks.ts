import type { CommandName } from "../dialect/commands.js";
import type { EventName } from "../dialect/dialect.js";
import type { DialectIndex } from "../dialect/index.js";
import { commandsOf } from "../dialect/vendor.js";
import { Errno } from "../errno.js";
import type { Status } from "../ports.js";

/** Commands no owner can forbid. */
const FIXED: readonly CommandName[] = ["getVersion", "checkCommand", "checkEvent"];

/** What the owner of the machine lets a tool do: commands and events by id. Holes in the numbering are never allowed. */
export class Masks {
  readonly #index: DialectIndex;
  readonly #commands = new Set<number>();
  readonly #events = new Set<number>();

  /** @param commands, events names that are allowed; undefined: all of them */
  constructor(index: DialectIndex, commands?: readonly CommandName[], events?: readonly EventName[]) {
    this.#index = index;
    for (const { id, name } of commandsOf(index.dialect))
      if (FIXED.includes(name) || commands?.includes(name) !== false) this.#commands.add(id);
    for (const { id, name } of index.dialect.events) if (events?.includes(name) !== false) this.#events.add(id);
  }

  command(id: number): boolean {
    return this.#commands.has(id);
  }

  event(id: number): boolean {
    return this.#events.has(id);
  }

  /** KVM_INTROSPECTION_COMMAND. `id` -1 means all; `allow` is 0 or 1. */
  allowCommand(id: number, allow: number): Status {
    if (allow !== 0 && allow !== 1) return Errno.EINVAL;
    if (id === -1) {
      for (const { id: each, name } of commandsOf(this.#index.dialect))
        if (!FIXED.includes(name)) set(this.#commands, each, allow);
      return 0;
    }
    const spec = this.#index.command(id);
    if (spec === undefined) return Errno.ENOENT;
    if (FIXED.includes(spec.name) && allow === 0) return Errno.EPERM;
    set(this.#commands, id, allow);
    return 0;
  }

  /** KVM_INTROSPECTION_EVENT. */
  allowEvent(id: number, allow: number): Status {
    if (allow !== 0 && allow !== 1) return Errno.EINVAL;
    if (id === -1) {
      for (const { id: each } of this.#index.dialect.events) set(this.#events, each, allow);
      return 0;
    }
    if (this.#index.event(id) === undefined) return Errno.ENOENT;
    set(this.#events, id, allow);
    return 0;
  }
}

function set(ids: Set<number>, id: number, allow: number): void {
  if (allow === 1) ids.add(id);
  else ids.delete(id);
}
