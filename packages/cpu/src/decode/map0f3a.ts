/**
 * Three-byte opcodes 0F 3A xx: SSSE3, SSE4, AES, PCLMULQDQ, SHA with a control byte (SDM vol. 2, appendix A, table A-5).
 * The row notation is explained in rows.ts.
 */
export const MAP0F3A = `
08 66 roundps Vx,Wx,Ib
09 66 roundpd Vx,Wx,Ib
0a 66 roundss Vx,Wd,Ib
0b 66 roundsd Vx,Wq,Ib
0c 66 blendps Vx,Wx,Ib
0d 66 blendpd Vx,Wx,Ib
0e 66 pblendw Vx,Wx,Ib
0f mx palignr Ib
14 66 pextrb Ey/b,Vx,Ib
15 66 pextrw Ey/w,Vx,Ib
16 66 w0 pextrd Ed,Vx,Ib
16 66 w1 pextrq Eq,Vx,Ib
17 66 extractps Ey/d,Vx,Ib
20 66 pinsrb Vx,Ey/b,Ib
21 66 insertps Vx,Wd,Ib
22 66 w0 pinsrd Vx,Ed,Ib
22 66 w1 pinsrq Vx,Eq,Ib
40 66 dpps Vx,Wx,Ib
41 66 dppd Vx,Wx,Ib
42 66 mpsadbw Vx,Wx,Ib
44 66 pclmulqdq Vx,Wx,Ib
60 66 w0 pcmpestrm Vx,Wx,Ib
60 66 w1 pcmpestrm64 Vx,Wx,Ib
61 66 w0 pcmpestri Vx,Wx,Ib
61 66 w1 pcmpestri64 Vx,Wx,Ib
62 66 pcmpistrm Vx,Wx,Ib
63 66 pcmpistri Vx,Wx,Ib
cc np sha1rnds4 Vx,Wx,Ib
df 66 aeskeygenassist Vx,Wx,Ib
`;
