import { BpfError } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import { CallKind } from "../isa/opcodes.js";
import { FaultNumber, FaultSignal } from "./faults.js";
import { CallArguments, type Helper, type HelperTable, type HostHelper } from "./helpers.js";
import { TAIL_CALL } from "./tail-calls.js";

/** Helper number of bpf_loop. */
export const LOOP = 181;

/** What a call by number comes to. */
export type Callee =
  | { readonly kind: "tail" }
  | { readonly kind: "wasm"; readonly func: CallableFunction }
  | { readonly kind: "host"; readonly helper: HostHelper };

/** The functions that an engine's programs can call by number. */
export class Callees {
  readonly arguments: CallArguments;

  /**
   * @param loop bpf_loop, which is the engine's own like tail calls
   * @param fault writes a fault into the state block
   */
  constructor(
    memory: WebAssembly.Memory,
    readonly helpers: HelperTable,
    readonly kfuncs: HelperTable,
    readonly loop: CallableFunction,
    readonly fault: (kind: number, pc: number, low: number, high: number) => void,
  ) {
    this.arguments = new CallArguments(memory);
  }

  /** @throws {BpfError} EINVAL if there is no function with the number that `insn` calls */
  resolve(pc: number, { src, imm }: Insn): Callee {
    const kfunc = src === CallKind.Kfunc;
    const found = kfunc ? this.kfuncs(imm) : this.#helper(imm);
    if (found === undefined)
      throw new BpfError("EINVAL", `instruction ${pc}: there is no ${kfunc ? "kfunc" : "helper"} ${imm}`);
    if (found.kind === "tail") return found;
    return found.kind === "wasm" ? { kind: "wasm", func: found.func } : { kind: "host", helper: found };
  }

  #helper(id: number): Helper | { readonly kind: "tail" } | undefined {
    if (id === TAIL_CALL) return { kind: "tail" };
    if (id === LOOP) return { kind: "wasm", func: this.loop };
    return this.helpers(id);
  }

  /**
   * A call by register: the helper whose number is given by halves, with arguments at `offset`. Tail calls are not reached like this.
   * @throws {FaultSignal} if there is none
   */
  readonly indirect = (low: number, high: number, offset: number, pc: number): void => {
    const found = high === 0 ? this.#helper(low) : undefined;
    if (found === undefined || found.kind === "tail") {
      this.fault(FaultNumber.function, pc, low, high);
      throw new FaultSignal();
    }
    this.arguments.run(found.kind === "host" ? found : throughBigints(found.func), offset);
  };
}

/** Calls a function of WebAssembly from JavaScript, which is slow and seldom. */
const throughBigints = (func: CallableFunction): HostHelper => ({
  kind: "host",
  call(args) {
    const result = (func as (...values: bigint[]) => bigint)(...[0, 1, 2, 3, 4].map((k) => args.big(k)));
    args.setResult(Number(BigInt.asUintN(32, result)), Number(BigInt.asUintN(32, result >> 32n)));
  },
});
