import { type Assembler, al, ax, cs, eax, type Label, mem, r14, r15, rax, short } from "@vm/asm";
import { DIALECTS, type DialectName, type EventAnswer, KvmiClient, type KvmiEvent, transportPair } from "@vm/kvmi";
import type { Machine, MachineExit, MachineOptions } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi.js";
import { machineOf, powerOff } from "../guest.js";

/** The guest waits until this byte is not zero. */
export const GO = 0x200000;
/** Where guests leave results. */
export const RESULT = 0x201000;
/** A page for experiments; the one behind it follows it everywhere. */
export const PAGE = 0x300000;

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

const IDT = 0x202000;

/** An interrupt table with a handler for each of `vectors`; uses RAX and R14. */
export function handlers(a: Assembler, vectors: Readonly<Record<number, Label>>): void {
  const pointer = a.label("idtr");
  const over = a.label("over");
  for (const [vector, label] of Object.entries(vectors)) {
    a.mov(r14, IDT + 16 * Number(vector)).lea(rax, mem(label));
    a.mov(mem(r14), ax)
      .shr(rax, 16)
      .mov(mem(r14, { disp: 6 }), ax)
      .shr(rax, 16)
      .mov(mem(r14, { disp: 8 }), eax);
    a.mov(ax, cs)
      .mov(mem(r14, { disp: 2 }), ax)
      .mov(ax, 0x8e00)
      .mov(mem(r14, { disp: 4 }), ax);
  }
  a.lidt(mem(pointer)).jmp(over);
  a.align(8).bind(pointer).dw(0xfff).dd(IDT, 0);
  a.bind(over);
}
