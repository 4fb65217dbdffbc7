/**
 * One-byte opcodes (SDM vol. 2, appendix A, table A-2). The row notation is explained in rows.ts.
 */

const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;
const SHIFT = ["rol", "ror", "rcl", "rcr", "shl", "shr", "sal:shl", "sar"] as const;

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/** The eight arithmetic operations repeat one pattern at 00, 08 .. 38 and again as groups 80-83; cmp writes nothing. */
const arithmetic = ALU.map((name, i) => {
  const lock = name === "cmp" ? "" : " +lock";
  return `
${hex(8 * i)} ${name} Eb,Gb${lock}
${hex(8 * i + 1)} ${name} Ev,Gv${lock}
${hex(8 * i + 2)} ${name} Gb,Eb
${hex(8 * i + 3)} ${name} Gv,Ev
${hex(8 * i + 4)} ${name} AL,Sb
${hex(8 * i + 5)} ${name} rAX,Sz
80/${i} ${name} Eb,Sb${lock}
81/${i} ${name} Ev,Sz${lock}
82/${i} i64 ${name} Eb,Sb${lock}
83/${i} ${name} Ev,Sb${lock}`;
}).join("");

const shifts = SHIFT.map(
  (name, i) => `
c0/${i} ${name} Eb,Ib
c1/${i} ${name} Ev,Ib
d0/${i} ${name} Eb,One
d1/${i} ${name} Ev,One
d2/${i} ${name} Eb,CL
d3/${i} ${name} Ev,CL`,
).join("");

export const MAP0 = `${arithmetic}${shifts}
06 i64 push ES
07 i64 pop ES
0e i64 push CS
16 i64 push SS
17 i64 pop SS
1e i64 push DS
1f i64 pop DS
27 i64 daa
2f i64 das
37 i64 aaa
3f i64 aas
40-47 i64 inc Zv
48-4f i64 dec Zv
50-57 push Zv +d64
58-5f pop Zv +d64
60 i64 pusha
61 i64 popa
62 i64 bound Gv,Ma
63 i64 arpl Ew,Gw
63 o64 movsxd Gv,Ez
68 push Sz +d64
69 imul Gv,Ev,Sz
6a push Sb +d64
6b imul Gv,Ev,Sb
6c ins +b
6d ins +z
6e outs +b
6f outs +z
70-7f jcc Jb +f64
84 test Eb,Gb
85 test Ev,Gv
86 xchg Eb,Gb +lock
87 xchg Ev,Gv +lock
88 mov Eb,Gb
89 mov Ev,Gv
8a mov Gb,Eb
8b mov Gv,Ev
8c mov Ev/w,Sw
8d lea Gv,Mn
8e mov Sw,Ev/w +notcs
8f/0 pop Ev +d64
90 f3 pause
90 b0 nop
90-97 xchg Zv,rAX
98 cbw
99 cwd
9a i64 callf Ap
9b fwait
9c pushf +d64
9d popf +d64
9e sahf
9f lahf
a0 mov AL,Ob
a1 mov rAX,Ov
a2 mov Ob,AL +b
a3 mov Ov,rAX
a4 movs +b
a5 movs
a6 cmps +b
a7 cmps
a8 test AL,Sb
a9 test rAX,Sz
aa stos +b
ab stos
ac lods +b
ad lods
ae scas +b
af scas
b0-b7 mov Zb,Sb
b8-bf mov Zv,Sv
c2 ret Iw +f64
c3 ret +f64
c4 i64 les Gv,Mp
c5 i64 lds Gv,Mp
c6/0 mov Eb,Sb
c7/0 mov Ev,Sz
c8 enter Iw,I2 +d64
c9 leave +d64
ca retf Iw
cb retf
cc int3
cd int Ib
ce i64 into
cf iret
d4 i64 aam Ib
d5 i64 aad Ib
d6 i64 salc
d7 xlatb
e0 loopne Jb +f64
e1 loope Jb +f64
e2 loop Jb +f64
e3 jcxz Jb +f64
e4 in AL,Ib
e5 in eAX,Ib +z
e6 out Ib,AL +b
e7 out Ib,eAX +z
e8 call Jz +f64
e9 jmp Jz +f64
ea i64 jmpf Ap
eb jmp Jb +f64
ec in AL,DX
ed in eAX,DX +z
ee out DX,AL +b
ef out DX,eAX +z
f1 int1
f4 hlt
f5 cmc
f6/0-1 test Eb,Sb
f6/2 not Eb +lock
f6/3 neg Eb +lock
f6/4 mul Eb
f6/5 imul Eb
f6/6 div Eb
f6/7 idiv Eb
f7/0-1 test Ev,Sz
f7/2 not Ev +lock
f7/3 neg Ev +lock
f7/4 mul Ev
f7/5 imul Ev
f7/6 div Ev
f7/7 idiv Ev
f8 clc
f9 stc
fa cli
fb sti
fc cld
fd std
fe/0 inc Eb +lock
fe/1 dec Eb +lock
ff/0 inc Ev +lock
ff/1 dec Ev +lock
ff/2 call Ev +f64
ff/3 callf Mp
ff/4 jmp Ev +f64
ff/5 jmpf Mp
ff/6 push Ev +d64
`;
