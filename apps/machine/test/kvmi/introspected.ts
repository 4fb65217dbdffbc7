import { type Assembler, al, mem, r14, r15, short } from "@vm/asm";
import { DIALECTS, type DialectName, type EventAnswer, KvmiClient, type KvmiEvent, transportPair } from "@vm/kvmi";
import type { Machine, MachineExit, MachineOptions } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { machineOf, powerOff } from "../guest.js";
import { RESULT } from "./handlers.js";

export { handlers, PAGE, RESULT } from "./handlers.js";

/** The guest waits until this byte is not zero. */
export const GO = 0x200000;
export interface Introspected {
  readonly machine: Machine;
  readonly client: KvmiClient;
  /** Lets the guest begin. */
  go(): Promise<void>;
  /** The next event; it must be of that name. */
  event<K extends KvmiEvent["name"]>(name: K): Promise<Extract<KvmiEvent, { name: K }>>;
  /** Takes the next event, answers it, and waits for the guest to end. */
  answer(name: KvmiEvent["name"], answer?: EventAnswer): Promise<void>;
  /** How the guest ended. */
  readonly ended: Promise<MachineExit>;
  /** 64 bits at {@link RESULT} + 8 * `index`. */
  result(index?: number): bigint;
}

export interface IntrospectedOptions extends MachineOptions {
  readonly dialect?: DialectName;
}

/** A machine that runs `write`'s code, once it is told to, and powers off; and a tool attached to it. */
export async function introspected(
  write: (a: Assembler) => void,
  options: IntrospectedOptions = {},
): Promise<Introspected> {
  const { dialect = "libkvmi", plugins = [], ...rest } = options;
  const [near, far] = transportPair();
  const machine = await machineOf(
    (a) => {
      const wait = a.label("wait");
      a.mov(r15, GO).bind(wait).mov(al, mem(r15)).test(al, al).jz(short(wait));
      write(a);
      powerOff(a);
    },
    { clock: "icount", ...rest, plugins: [...plugins, kvmi({ open: () => far, dialect, name: "test" })] },
  );
  const client = await KvmiClient.accept(near, { dialect: DIALECTS[dialect] });
  const ended = machine.run();
  const event = async (name: string): Promise<KvmiEvent> => {
    const { value, done } = await client.events.next();
    if (done === true) throw new Error(`the connection ended before ${name}`);
    if (value.name !== name) throw new Error(`${value.name} instead of ${name}`);
    return value;
  };
  return {
    machine,
    client,
    ended,
    go: () => client.writePhysical(GO, Uint8Array.of(1)),
    event: event as Introspected["event"],
    answer: async (name, answer) => (await event(name)).reply(answer),
    result: (index = 0) => {
      const bytes = new Uint8Array(8);
      machine.memory.read(RESULT + 8 * index, bytes);
      return new DataView(bytes.buffer).getBigUint64(0, true);
    },
  };
}

/** Stores a register as result number `index`; uses R14. */
export function store(a: Assembler, register: Parameters<Assembler["mov"]>[1], index = 0): void {
  a.mov(r14, RESULT + 8 * index).mov(mem(r14), register);
}
