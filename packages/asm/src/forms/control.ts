import { perCondition } from "./conditions.js";

/** Branches, calls, software interrupts and returns (SDM vol. 2), in the notation of _notation.ts. */
export const CONTROL = {
  jmp: ["rel8 | EB", "relz | E9", "rmv | FF /4 f64"],
  call: ["relz | E8", "rmv | FF /2 f64"],
  ret: ["| C3", "imm16 | C2"],
  ...perCondition("j", "rel8 | 7$c", "relz | 0F 8$c"),
  loop: ["relb | E2"],
  loope: ["relb | E1"],
  loopne: ["relb | E0"],
  jcxz: ["relb | E3 a16"],
  jecxz: ["relb | E3 a32"],
  jrcxz: ["relb | E3 x64"],
  /** Far jump: selector and offset of the mode's size, or through memory of 4, 6 or 10 bytes (m16:16, m16:32, m16:64). */
  ljmp: ["sel, off | EA x32", "m32 | FF /5 o16", "m48 | FF /5 o32", "m80 | W FF /5"],
  ljmpw: ["sel, off | EA o16 x32"],
  ljmpd: ["sel, off | EA o32 x32"],
  lcall: ["sel, off | 9A x32", "m32 | FF /3 o16", "m48 | FF /3 o32", "m80 | W FF /3"],
  /** Far return of the operand size 16, 32 or 64. */
  retfw: ["| CB o16", "imm16 | CA o16"],
  retfd: ["| CB o32", "imm16 | CA o32"],
  retfq: ["| W CB", "imm16 | W CA"],
  iretw: ["| CF o16"],
  iretd: ["| CF o32"],
  iretq: ["| W CF"],
  int: ["imm8 | CD"],
  int1: ["| F1"],
  int3: ["| CC"],
  into: ["| CE x32"],
  ud0: ["rv, rmv | 0F FF /r"],
  ud1: ["rv, rmv | 0F B9 /r"],
  ud2: ["| 0F 0B"],
  nop: ["| 90", "rmv | 0F 1F /0"],
  pause: ["| F3 90"],
  endbr64: ["| F3 0F 1E FA"],
} as const satisfies Record<string, readonly string[]>;
