/**
 * x87 escape opcodes D8-DF (SDM vol. 2, appendix A.5). The row notation is explained in rows.ts. Register forms that
 * repeat another one under a second encoding (DC D0, DD C8, ...) are rows too: processors execute them.
 */

const ARITHMETIC = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"] as const;

/** D8, DA, DC, DE: one operation per modrm.reg, on m32fp, m32int, m64fp, m16int or the stack. */
const arithmetic = ARITHMETIC.map(
  (name, i) => `
d8/${i} m f${name} Md
d8/${i} r f${name} T0,Ti
da/${i} m fi${name} Md
dc/${i} m f${name} Mq
de/${i} m fi${name} Mw`,
).join("");

export const X87 = `${arithmetic}
d9/0 m fld Md
d9/2 m fst Md
d9/3 m fstp Md
d9/4 m fldenv Me +z
d9/5 m fldcw Mw
d9/6 m fnstenv Me +z
d9/7 m fnstcw Mw
d9/0 r fld Ti
d9/1 r fxch T0,Ti
d9/2:0 r fnop
d9/3 r fstpnce Ti
d9/4:0 r fchs
d9/4:1 r fabs
d9/4:4 r ftst
d9/4:5 r fxam
d9/5:0 r fld1
d9/5:1 r fldl2t
d9/5:2 r fldl2e
d9/5:3 r fldpi
d9/5:4 r fldlg2
d9/5:5 r fldln2
d9/5:6 r fldz
d9/6:0 r f2xm1
d9/6:1 r fyl2x
d9/6:2 r fptan
d9/6:3 r fpatan
d9/6:4 r fxtract
d9/6:5 r fprem1
d9/6:6 r fdecstp
d9/6:7 r fincstp
d9/7:0 r fprem
d9/7:1 r fyl2xp1
d9/7:2 r fsqrt
d9/7:3 r fsincos
d9/7:4 r frndint
d9/7:5 r fscale
d9/7:6 r fsin
d9/7:7 r fcos
da/0 r fcmovb T0,Ti
da/1 r fcmove T0,Ti
da/2 r fcmovbe T0,Ti
da/3 r fcmovu T0,Ti
da/5:1 r fucompp
db/0 m fild Md
db/1 m fisttp Md
db/2 m fist Md
db/3 m fistp Md
db/5 m fld Mt
db/7 m fstp Mt
db/0 r fcmovnb T0,Ti
db/1 r fcmovne T0,Ti
db/2 r fcmovnbe T0,Ti
db/3 r fcmovnu T0,Ti
db/4:0 r fneni
db/4:1 r fndisi
db/4:2 r fnclex
db/4:3 r fninit
db/4:4 r fnsetpm
db/5 r fucomi T0,Ti
db/6 r fcomi T0,Ti
dc/0 r fadd Ti,T0
dc/1 r fmul Ti,T0
dc/2 r fcom T0,Ti
dc/3 r fcomp T0,Ti
dc/4 r fsubr Ti,T0
dc/5 r fsub Ti,T0
dc/6 r fdivr Ti,T0
dc/7 r fdiv Ti,T0
dd/0 m fld Mq
dd/1 m fisttp Mq
dd/2 m fst Mq
dd/3 m fstp Mq
dd/4 m frstor MS +z
dd/6 m fnsave MS +z
dd/7 m fnstsw Mw
dd/0 r ffree Ti
dd/1 r fxch T0,Ti
dd/2 r fst Ti
dd/3 r fstp Ti
dd/4 r fucom T0,Ti
dd/5 r fucomp T0,Ti
de/0 r faddp Ti,T0
de/1 r fmulp Ti,T0
de/2 r fcomp T0,Ti
de/3:1 r fcompp
de/4 r fsubrp Ti,T0
de/5 r fsubp Ti,T0
de/6 r fdivrp Ti,T0
de/7 r fdivp Ti,T0
df/0 m fild Mw
df/1 m fisttp Mw
df/2 m fist Mw
df/3 m fistp Mw
df/4 m fbld Mt
df/5 m fild Mq
df/6 m fbstp Mt
df/7 m fistp Mq
df/0 r ffreep Ti
df/1 r fxch T0,Ti
df/2 r fstp Ti
df/3 r fstp Ti
df/4:0 r fnstsw AX
df/5 r fucomip T0,Ti
df/6 r fcomip T0,Ti
`;
