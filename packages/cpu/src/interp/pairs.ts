/**
 * Instructions, by the keys of their handlers, and those that often follow them directly: such a pair has a handler that executes both, which
 * saves every second dispatch. Counted over what is interpreted while Debian boots and runs gcc, find, python, perl, git and node: a third of all
 * records come second in one of these.
 */
export const PAIRS: Readonly<Record<string, string>> = {
  "pop.8.r": "pop.8.r ret.8.i jmp.8.",
  "push.8.r": "push.8.r mov.8.rr mov.4.rr sub.8.ri mov.8.rm",
  "test.8.rr": "j4.8. j5.8.",
  "mov.8.rm":
    "mov.8.rm test.8.rr mov.8.mr mov.8.rr mov.4.rm lea.8.rm cmp.8.rr call.8. test.1.ri sub.8.rm mov.4.rr xor.4.rr movzx2.4.rm add.8.ri cmp.8.mr jmp.8. movzx1.4.rm",
  "mov.8.rr":
    "push.8.r mov.8.rr call.8. mov.8.rm sub.8.ri pop.8.r mov.4.rr test.8.rr mov.8.mr lea.8.rm shr.8.ri jmp.8. and.4.ri mov.4.ri",
  "test.4.rr": "j4.8. j5.8.",
  "mov.8.mr": "mov.8.mr mov.8.rm xor.4.rr mov.8.rr call.8. jmp.8. lea.8.rm test.8.rr",
  "add.8.ri": "pop.8.r cmp.8.rr mov.8.rr",
  "nop.4.": "push.8.r mov.8.rm",
  "cmp.4.ri": "j4.8. j5.8. j7.8. j6.8.",
  "cmp.8.rr": "j4.8. j5.8. j2.8. j3.8.",
  "test.1.ri": "j5.8. j4.8.",
  "test.1.rr": "j4.8. j5.8.",
  "sub.8.ri": "mov.8.rm",
  "mov.4.rm": "test.4.rr mov.8.rm mov.4.rm mov.4.rr xor.4.rr mov.8.rr mov.4.mr cmp.4.rr",
  "mov.4.rr": "mov.4.rr mov.8.rr push.8.r xor.4.rr and.4.ri rol.4.ri call.8. pop.8.r mov.8.rm",
  "add.4.rr": "mov.4.rr",
  "lea.8.rm": "mov.8.rr lea.8.rm mov.8.mr mov.8.rm call.8. cmp.8.rr",
  "xor.4.rr": "xor.4.rr mov.4.rr mov.8.rr jmp.8.",
  "test.1.mi": "j4.8. j5.8.",
  "cmp.2.ri": "j4.8. j7.8.",
  "cmp.1.ri": "j4.8. j5.8.",
  "cmp.8.ri": "j4.8. j7.8. j6.8. j5.8.",
  "cmp.1.mi": "j5.8. j4.8.",
  "mov.8.mi": "mov.8.mi",
  "cmp.8.mi": "j4.8.",
  "cmp.8.mr": "j4.8.",
  "sub.8.rm": "j5.8.",
  "test.4.ri": "j4.8. j5.8.",
  "mov.4.ri": "mov.8.rr",
  "movzx2.4.rm": "cmp.2.ri",
  "cmp.4.rr": "j5.8.",
  "mov.4.mr": "mov.8.rm",
  "movzx1.4.rm": "movzx1.4.rm",
};
