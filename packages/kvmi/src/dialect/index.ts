import type { CommandName } from "./commands.js";
import type { CommandSpec, Dialect, EventName, EventSpec } from "./dialect.js";
import { libkvmi } from "./libkvmi.js";
import { rfc7 } from "./rfc7.js";
import { v12 } from "./v12.js";
import { commandsOf } from "./vendor.js";

/** Every numbering there is, by name. The wire does not tell them apart: both sides must be told which one it is. */
export const DIALECTS = { libkvmi, rfc7, v12 } as const satisfies Record<string, Dialect>;
export type DialectName = keyof typeof DIALECTS;

/** A dialect's tables, by id and by name. */
export class DialectIndex {
  readonly #commands: ReadonlyMap<number, CommandSpec>;
  readonly #events: readonly (EventSpec | undefined)[];
  readonly #byName: ReadonlyMap<CommandName, CommandSpec>;
  readonly #eventsByName: ReadonlyMap<EventName, EventSpec>;

  constructor(readonly dialect: Dialect) {
    const commands = commandsOf(dialect);
    const events: EventSpec[] = [];
    for (const event of dialect.events) events[event.id] = event;
    this.#commands = new Map(commands.map((command) => [command.id, command]));
    this.#events = events;
    this.#byName = new Map(commands.map((command) => [command.name, command]));
    this.#eventsByName = new Map(dialect.events.map((event) => [event.name, event]));
  }

  command(id: number): CommandSpec | undefined {
    return this.#commands.get(id);
  }

  event(id: number): EventSpec | undefined {
    return this.#events[id];
  }

  commandNamed(name: CommandName): CommandSpec | undefined {
    return this.#byName.get(name);
  }

  eventNamed(name: EventName): EventSpec | undefined {
    return this.#eventsByName.get(name);
  }
}
