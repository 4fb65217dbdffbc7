import { type Explanation, RegionExplorer } from "@vm/cpu";
import type { MachineHandle, Plugin, VcpuHandle } from "../../index.js";

const PAGE = 4096;

/** Looks on at what becomes of the code at an address while a machine runs. */
export class CodeWatch implements Plugin {
  readonly name = "code watch";
  readonly #address: bigint;
  #vcpus: readonly VcpuHandle[] = [];
  #explorer: RegionExplorer | null = null;

  constructor(address: bigint) {
    this.#address = address;
  }

  install({ vcpus }: MachineHandle): void {
    const jit = vcpus[0]?.cpu.jit ?? null;
    if (jit === null) throw new Error("a machine without regions is watched");
    this.#vcpus = vcpus;
    this.#explorer = new RegionExplorer(jit, this.#address);
  }

  /** Frame that is mapped at the address in what a processor executed last; null if none is. */
  get #gfn(): number | null {
    for (const { memory } of this.#vcpus) {
      const gpa = memory.translate(this.#address);
      if (gpa !== null) return Math.floor(gpa / PAGE);
    }
    return null;
  }

  /** Whether something is mapped at the address in what a processor executed last. */
  get mapped(): boolean {
    return this.#gfn !== null;
  }

  explain(): Explanation {
    if (this.#explorer === null) throw new Error("nothing was watched");
    return this.#explorer.explain(this.#gfn);
  }
}
