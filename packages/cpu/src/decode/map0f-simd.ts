/**
 * Two-byte opcodes 0F xx: MMX, SSE, SSE2, SSE3 (SDM vol. 2, appendix A, table A-3). The row notation, with the
 * abbreviations `mx`, `fp` and `pp`, is explained in rows.ts.
 */
export const MAP0F_SIMD = `
10 np movups Vx,Wx
10 66 movupd Vx,Wx
10 f3 movss Vx,Wd
10 f2 movsd Vx,Wq
11 np movups Wx,Vx
11 66 movupd Wx,Vx
11 f3 movss Wd,Vx
11 f2 movsd Wq,Vx
12 m np movlps Vx,Mq
12 r np movhlps Vx,Ux
12 66 movlpd Vx,Mq
12 f3 movsldup Vx,Wx
12 f2 movddup Vx,Wq
13 np movlps Mq,Vx
13 66 movlpd Mq,Vx
14 pp unpckl
15 pp unpckh
16 m np movhps Vx,Mq
16 r np movlhps Vx,Ux
16 66 movhpd Vx,Mq
16 f3 movshdup Vx,Wx
17 np movhps Mq,Vx
17 66 movhpd Mq,Vx
28 pp mova
29 np movaps Wx,Vx
29 66 movapd Wx,Vx
2a np cvtpi2ps Vx,Qq
2a 66 cvtpi2pd Vx,Qq
2a f3 cvtsi2ss Vx,Ey
2a f2 cvtsi2sd Vx,Ey
2b np movntps Mx,Vx
2b 66 movntpd Mx,Vx
2c np cvttps2pi Pq,Wq
2c 66 cvttpd2pi Pq,Wx
2c f3 cvttss2si Gy,Wd
2c f2 cvttsd2si Gy,Wq
2d np cvtps2pi Pq,Wq
2d 66 cvtpd2pi Pq,Wx
2d f3 cvtss2si Gy,Wd
2d f2 cvtsd2si Gy,Wq
2e np ucomiss Vx,Wd
2e 66 ucomisd Vx,Wq
2f np comiss Vx,Wd
2f 66 comisd Vx,Wq
50 np movmskps Gy,Ux
50 66 movmskpd Gy,Ux
51 fp sqrt
52 np rsqrtps Vx,Wx
52 f3 rsqrtss Vx,Wd
53 np rcpps Vx,Wx
53 f3 rcpss Vx,Wd
54 pp and
55 pp andn
56 pp or
57 pp xor
58 fp add
59 fp mul
5a np cvtps2pd Vx,Wq
5a 66 cvtpd2ps Vx,Wx
5a f3 cvtss2sd Vx,Wd
5a f2 cvtsd2ss Vx,Wq
5b np cvtdq2ps Vx,Wx
5b 66 cvtps2dq Vx,Wx
5b f3 cvttps2dq Vx,Wx
5c fp sub
5d fp min
5e fp div
5f fp max
60 np punpcklbw Pq,Qd
60 66 punpcklbw Vx,Wx
61 np punpcklwd Pq,Qd
61 66 punpcklwd Vx,Wx
62 np punpckldq Pq,Qd
62 66 punpckldq Vx,Wx
63 mx packsswb
64 mx pcmpgtb
65 mx pcmpgtw
66 mx pcmpgtd
67 mx packuswb
68 mx punpckhbw
69 mx punpckhwd
6a mx punpckhdq
6b mx packssdw
6c 66 punpcklqdq Vx,Wx
6d 66 punpckhqdq Vx,Wx
6e np w0 movd Pq,Ed
6e np w1 movq Pq,Eq
6e 66 w0 movd Vx,Ed
6e 66 w1 movq Vx,Eq
6f np movq Pq,Qq
6f 66 movdqa Vx,Wx
6f f3 movdqu Vx,Wx
70 np pshufw Pq,Qq,Ib
70 66 pshufd Vx,Wx,Ib
70 f3 pshufhw Vx,Wx,Ib
70 f2 pshuflw Vx,Wx,Ib
71/2 np psrlw Nq,Ib
71/2 66 psrlw Ux,Ib
71/4 np psraw Nq,Ib
71/4 66 psraw Ux,Ib
71/6 np psllw Nq,Ib
71/6 66 psllw Ux,Ib
72/2 np psrld Nq,Ib
72/2 66 psrld Ux,Ib
72/4 np psrad Nq,Ib
72/4 66 psrad Ux,Ib
72/6 np pslld Nq,Ib
72/6 66 pslld Ux,Ib
73/2 np psrlq Nq,Ib
73/2 66 psrlq Ux,Ib
73/3 66 psrldq Ux,Ib
73/6 np psllq Nq,Ib
73/6 66 psllq Ux,Ib
73/7 66 pslldq Ux,Ib
74 mx pcmpeqb
75 mx pcmpeqw
76 mx pcmpeqd
77 np emms
7c 66 haddpd Vx,Wx
7c f2 haddps Vx,Wx
7d 66 hsubpd Vx,Wx
7d f2 hsubps Vx,Wx
7e np w0 movd Ed,Pq
7e np w1 movq Eq,Pq
7e 66 w0 movd Ed,Vx
7e 66 w1 movq Eq,Vx
7e f3 movq Vx,Wq
7f np movq Qq,Pq
7f 66 movdqa Wx,Vx
7f f3 movdqu Wx,Vx
c2 fp cmp Ib
c4 np pinsrw Pq,Ey/w,Ib
c4 66 pinsrw Vx,Ey/w,Ib
c5 np pextrw Gy,Nq,Ib
c5 66 pextrw Gy,Ux,Ib
c6 pp shuf Ib
d0 66 addsubpd Vx,Wx
d0 f2 addsubps Vx,Wx
d1 mx psrlw
d2 mx psrld
d3 mx psrlq
d4 mx paddq
d5 mx pmullw
d6 66 movq Wq,Vx
d6 f3 movq2dq Vx,Nq
d6 f2 movdq2q Pq,Ux
d7 np pmovmskb Gy,Nq
d7 66 pmovmskb Gy,Ux
d8 mx psubusb
d9 mx psubusw
da mx pminub
db mx pand
dc mx paddusb
dd mx paddusw
de mx pmaxub
df mx pandn
e0 mx pavgb
e1 mx psraw
e2 mx psrad
e3 mx pavgw
e4 mx pmulhuw
e5 mx pmulhw
e6 66 cvttpd2dq Vx,Wx
e6 f3 cvtdq2pd Vx,Wq
e6 f2 cvtpd2dq Vx,Wx
e7 np movntq Mq,Pq
e7 66 movntdq Mx,Vx
e8 mx psubsb
e9 mx psubsw
ea mx pminsw
eb mx por
ec mx paddsb
ed mx paddsw
ee mx pmaxsw
ef mx pxor
f0 f2 lddqu Vx,Mx
f1 mx psllw
f2 mx pslld
f3 mx psllq
f4 mx pmuludq
f5 mx pmaddwd
f6 mx psadbw
f7 np maskmovq Pq,Nq
f7 66 maskmovdqu Vx,Ux
f8 mx psubb
f9 mx psubw
fa mx psubd
fb mx psubq
fc mx paddb
fd mx paddw
fe mx paddd
`;
