import { BpfRuntime, MapType, makeContext, ProgramType } from "../../src/index.js";
import type { Insn } from "../../src/isa/insn.js";
import { Pseudo } from "../../src/isa/opcodes.js";
import { ArrayMap, type ArrayMap as ArrayMapType } from "../../src/maps/array.js";
import { resolveMaps } from "../../src/runtime/pointers.js";
import type { Case, Ran } from "./kernel-run.js";

const VALUE = 512;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** A runtime of ours that runs the same programs as a kernel does. */
export class Ours {
  readonly runtime: BpfRuntime;
  readonly map: ArrayMapType;

  /** @param kfunc names of functions by the numbers that programs have for them */
  constructor(
    engine: "jit" | "interpreter",
    readonly kfunc: (id: number) => string | undefined = () => undefined,
  ) {
    this.runtime = new BpfRuntime({ engine });
    const map = this.runtime.createMap({
      ...{ type: MapType.Array, name: "value", keySize: 4, valueSize: VALUE, maxEntries: 1, flags: 0 },
    });
    if (!(map instanceof ArrayMap)) throw new TypeError("no array");
    this.map = map;
  }

  /** @param trusted whether accesses are not checked */
  run({ type, insns, data, context, value }: Case, subprograms: readonly number[], trusted = true): Ran {
    const { runtime, map } = this;
    const { arena } = runtime;
    arena.u8.fill(0, map.elements, map.elements + VALUE);
    arena.u8.set(value, map.elements);
    const resolved: Insn[] = insns.map((insn) => (insn.src === Pseudo.MapValue ? { ...insn } : insn));
    resolveMaps(resolved, () => map);
    const program = runtime.load({
      ...{ name: "test", type: type as ProgramType, recur: false, insns: resolved, subprograms, trusted },
      kfunc: this.kfunc,
    });
    const packet = type !== ProgramType.Syscall && type !== ProgramType.RawTracepoint;
    const made = makeContext(arena, type as ProgramType, packet ? data : context);
    try {
      const retval = program.run(made.address) >>> 0;
      if (program.fault !== null) throw new Error(`${program.fault.kind} fault at ${program.fault.pc}`);
      const bytes = hex(made.output());
      return {
        ...{ kind: "ok", retval, data: packet ? bytes : "", context: packet ? "" : bytes },
        value: hex(arena.read(map.elements, VALUE)),
      };
    } finally {
      made.free();
      program.executable.dispose();
    }
  }
}
