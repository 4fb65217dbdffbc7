import { type Instruction, Mnemonic } from "iced-x86";
import type { Random } from "../random.js";
import { generalRegister } from "../replay/classify.js";
import { DATA_PAGE, Override } from "../replay/initial-state.js";

const SAVES = new Set([
  Mnemonic.Xsave,
  Mnemonic.Xsave64,
  Mnemonic.Xsaveopt,
  Mnemonic.Xsaveopt64,
  Mnemonic.Xsavec,
  Mnemonic.Xsavec64,
]);
const RESTORES = new Set([Mnemonic.Xrstor, Mnemonic.Xrstor64]);
const [RAX, RDX] = [0, 2] as const;

/** Where an area has to be for its header to be the last of the seeded memory. */
const AREA = DATA_PAGE + 0x7c0;
const HEADER = Override.Memory + (0x9c0 - 0x600) / 8;
const MXCSR = Override.Memory + (0x7c0 + 24 - 0x600) / 8;

/** Whether EDX:EAX names state components (SDM vol. 1, 13.3). */
export const usesComponents = (insn: Instruction): boolean => SAVES.has(insn.mnemonic) || RESTORES.has(insn.mnemonic);

/** Whether the address depends on EAX or EDX, which have to name components. */
export const namesComponentsByAddress = (insn: Instruction): boolean =>
  usesComponents(insn) &&
  [insn.memoryBase, insn.memoryIndex].some((r) => [RAX, RDX].includes(generalRegister(r) as 0 | 2));

/** Linear address of the area that can be made sound, if the instruction needs one. */
export const areaFor = (insn: Instruction): number | undefined => (RESTORES.has(insn.mnemonic) ? AREA : undefined);

/** x87 and SSE are requested, or one, or neither: the host has others. An area to restore from is sound, mostly. */
export function chooseComponents(insn: Instruction, random: Random, overrides: Map<number, bigint>): void {
  overrides.set(RAX, BigInt(random.below(4)));
  overrides.set(RDX, BigInt(random.below(4)));
  if (!RESTORES.has(insn.mnemonic) || random.oneIn(10)) return;
  const bad = (): boolean => random.oneIn(12);
  const compact = random.oneIn(2);
  const format = compact ? BigInt(random.below(4)) : 0n;
  const present = (compact ? format : 3n) & BigInt(random.below(4));
  overrides.set(HEADER, present | (bad() ? 1n << 40n : 0n));
  overrides.set(HEADER + 1, compact ? (1n << 63n) | format | (bad() ? 1n << 41n : 0n) : bad() ? 2n : 0n);
  for (let k = 2; k < 8; k++) overrides.set(HEADER + k, bad() ? 1n : 0n);
  if (!bad()) overrides.set(MXCSR, random.word() & ~0xffff0000n);
}
