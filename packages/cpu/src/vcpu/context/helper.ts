import type { Insn } from "../../decode/index.js";
import type { VcpuContext } from "./context.js";

/** What a helper record refers to. */
export interface HelperSite {
  readonly insn: Insn;
  /** Name under which the helper is found; usually the mnemonic. */
  readonly name: string;
  /** The helper, once it has been found. */
  helper?: Helper;
}

/** Executes an instruction that has no generated code; registered by name in `helpers.ts`. @returns a `HelperResult` */
export type Helper = (vcpu: VcpuContext, site: HelperSite) => number;
