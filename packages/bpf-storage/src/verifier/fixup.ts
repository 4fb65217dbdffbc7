import { type Insn, isWide } from "../isa/insn.js";
import { JA, MODE_MASK } from "../isa/opcodes.js";
import type { Env } from "./env.js";

/** Modes of loads that give zero where there is no memory; as in the kernel, no program can ask for them. */
export const PROBE_MEM = 0x20;
export const PROBE_MEM_SX = 0x40;

const MEM_SX = 0x80;

/** The accepted program as the engine runs it: probe loads are marked, and what no path reached jumps to itself. */
export const fixUp = (env: Env): readonly Insn[] => {
  const out = [...env.insns];
  let isSecondHalf = false;
  let isDead = false;
  env.aux.forEach((aux, at) => {
    const insn = env.insnAt(at);
    if (aux.probe) {
      const mode = (insn.code & MODE_MASK) === MEM_SX ? PROBE_MEM_SX : PROBE_MEM;
      out[at] = { ...insn, code: (insn.code & ~MODE_MASK) | mode };
    }
    // No path stops at the second half of a wide instruction: it goes with the first.
    if (!isSecondHalf) isDead = !aux.seen;
    if (isDead) out[at] = { code: JA, dst: 0, src: 0, off: -1, imm: 0 };
    isSecondHalf = !isSecondHalf && isWide(insn);
  });
  return out;
};
