/**
 * Two-byte opcodes 0F xx: system, general and hint instructions (SDM vol. 2, appendix A, table A-3). The vector part of
 * the map is in map0f-simd.ts. The row notation is explained in rows.ts.
 */
export const MAP0F = `
00/0 sldt Ev/w
00/1 str Ev/w
00/2 lldt Ev/w
00/3 ltr Ev/w
00/4 verr Ev/w
00/5 verw Ev/w
01/0 m sgdt Ms
01/1 m sidt Ms
01/2 m lgdt Ms
01/3 m lidt Ms
01/4 smsw Ev/w
01/6 lmsw Ev/w
01/7 m invlpg Mn
01/0:1 r np vmcall
01/1:0 r np monitor
01/1:1 r np mwait
01/1:2 r np clac
01/1:3 r np stac
01/1:4 r 66 tdcall
01/2:0 r np xgetbv
01/2:1 r np xsetbv
01/2:4 r np vmfunc
01/3:1 r np|66 vmmcall
01/5:0 r np serialize
01/5:6 r np rdpkru
01/5:7 r np wrpkru
01/7:0 r o64 swapgs
01/7:1 r rdtscp
02 lar Gv,Ev/w
03 lsl Gv,Ev/w
05 syscall
06 clts
07 sysret
08 invd
09 wbinvd
0b ud2
0d/1 m prefetch:prefetchw Mn
0d/2 m prefetch:prefetchwt1 Mn
0d m prefetch Mn
0d r nop Ev,Gv
18/0 m prefetch:prefetchnta Mn
18/1 m prefetch:prefetcht0 Mn
18/2 m prefetch:prefetcht1 Mn
18/3 m prefetch:prefetcht2 Mn
18-1d nop Ev/n,Gv
1e/7:2 r f3 nop:endbr64
1e/7:3 r f3 nop:endbr32
1e nop Ev/n,Gv
1f/0 nop Ev/n
1f nop Ev/n,Gv
20 mov Em,Cm +nomod
21 mov Em,Dm +nomod
22 mov Cm,Em +nomod
23 mov Dm,Em +nomod
30 wrmsr
31 rdtsc
32 rdmsr
33 rdpmc
34 sysenter
35 sysexit
40-4f cmovcc Gv,Ev
80-8f jcc Jz +f64
90-9f setcc Eb
a0 push FS +d64
a1 pop FS +d64
a2 cpuid
a3 bt Ev,Gv
a4 shld Ev,Gv,Ib
a5 shld Ev,Gv,CL
a8 push GS +d64
a9 pop GS +d64
aa rsm
ab bts Ev,Gv +lock
ac shrd Ev,Gv,Ib
ad shrd Ev,Gv,CL
ae/0 m np fxsave Mf
ae/1 m np fxrstor Mf
ae/2 m np ldmxcsr Md
ae/3 m np stmxcsr Md
ae/4 m np xsave Mn
ae/5 m np xrstor Mn
ae/6 m np xsaveopt Mn
ae/7 m np clflush Mn
ae/6 m 66 clwb Mn
ae/7 m 66 clflushopt Mn
ae/5 r np lfence
ae/6 r np mfence
ae/7 r np sfence
ae/0 r f3 o64 rdfsbase Ey
ae/1 r f3 o64 rdgsbase Ey
ae/2 r f3 o64 wrfsbase Ey
ae/3 r f3 o64 wrgsbase Ey
af imul Gv,Ev
b0 cmpxchg Eb,Gb +lock
b1 cmpxchg Ev,Gv +lock
b2 lss Gv,Mp
b3 btr Ev,Gv +lock
b4 lfs Gv,Mp
b5 lgs Gv,Mp
b6 movzx Gv,Eb
b7 movzx Gv,Ew
b8 f3 popcnt Gv,Ev
b9 ud1 Gv,Ev
ba/4 bt Ev,Ib
ba/5 bts Ev,Ib +lock
ba/6 btr Ev,Ib +lock
ba/7 btc Ev,Ib +lock
bb btc Ev,Gv +lock
bc f3 tzcnt Gv,Ev
bc bsf Gv,Ev
bd f3 lzcnt Gv,Ev
bd bsr Gv,Ev
be movsx Gv,Eb
bf movsx Gv,Ew
c0 xadd Eb,Gb +lock
c1 xadd Ev,Gv +lock
c3 np movnti My,Gy
c7/1 w0 cmpxchg8b Mq +lock
c7/1 w1 cmpxchg16b Mx +lock
c7/3 m np xrstors Mn
c7/4 m np xsavec Mn
c7/5 m np xsaves Mn
c7/6 r np|66 rdrand Ev
c7/7 r f3 rdpid Em
c7/7 r np|66 rdseed Ev
c8-cf bswap Zv
ff ud0 Gv,Ev
`;
