/** The strictest a consumer can be, with nothing but TypeScript's own library of the language. */
export const STRICT = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2023"],
    types: [],
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    verbatimModuleSyntax: true,
    skipLibCheck: false,
    noEmit: true,
  },
  include: ["consumer.ts"],
};

export const CONSUMER = `
import { Assembler } from "@vm/asm";
import { decode, Insn, type Vcpu } from "@vm/cpu";
import { PortBus } from "@vm/devices";
import { ensureGuests } from "@vm/guests";
import { DIALECTS } from "@vm/kvmi";
import { Lockdep, type SrcuToken } from "@vm/lockdep";
import { createMachine, type Machine, type Plugin } from "@vm/machine";
import { openImage } from "@vm/machine/node";
import { type Folio, Mmu } from "@vm/mmu";
import { ModuleBuilder } from "@vm/wasm";
// @ts-expect-error: a type, whatever the class behind it
import { Machine as Value } from "@vm/machine";

const counter: Plugin = {
  name: "counter",
  install: (machine) => machine.vcpus[0]?.on("syscall", () => undefined) ?? (() => undefined),
};
const machine: Machine = await createMachine({ memory: 32 * 2 ** 20, plugins: [counter], disks: [await openImage("a.img")] });
const cpu: Vcpu | undefined = machine.vcpus[0]?.cpu;
machine.console.onOutput((bytes: Uint8Array) => void bytes);
export { Assembler, cpu, decode, DIALECTS, ensureGuests, type Folio, Insn, Lockdep, Mmu, ModuleBuilder, PortBus, type SrcuToken };
`;
