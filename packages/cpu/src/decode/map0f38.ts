/**
 * Three-byte opcodes 0F 38 xx: SSSE3, SSE4, AES, SHA, MOVBE, CRC32, ADX, INVPCID (SDM vol. 2, appendix A, table A-4).
 * The row notation is explained in rows.ts.
 */
export const MAP0F38 = `
00 mx pshufb
01 mx phaddw
02 mx phaddd
03 mx phaddsw
04 mx pmaddubsw
05 mx phsubw
06 mx phsubd
07 mx phsubsw
08 mx psignb
09 mx psignw
0a mx psignd
0b mx pmulhrsw
10 66 pblendvb Vx,Wx
14 66 blendvps Vx,Wx
15 66 blendvpd Vx,Wx
17 66 ptest Vx,Wx
1c mx pabsb
1d mx pabsw
1e mx pabsd
20 66 pmovsxbw Vx,Wq
21 66 pmovsxbd Vx,Wd
22 66 pmovsxbq Vx,Ww
23 66 pmovsxwd Vx,Wq
24 66 pmovsxwq Vx,Wd
25 66 pmovsxdq Vx,Wq
28 66 pmuldq Vx,Wx
29 66 pcmpeqq Vx,Wx
2a 66 movntdqa Vx,Mx
2b 66 packusdw Vx,Wx
30 66 pmovzxbw Vx,Wq
31 66 pmovzxbd Vx,Wd
32 66 pmovzxbq Vx,Ww
33 66 pmovzxwd Vx,Wq
34 66 pmovzxwq Vx,Wd
35 66 pmovzxdq Vx,Wq
37 66 pcmpgtq Vx,Wx
38 66 pminsb Vx,Wx
39 66 pminsd Vx,Wx
3a 66 pminuw Vx,Wx
3b 66 pminud Vx,Wx
3c 66 pmaxsb Vx,Wx
3d 66 pmaxsd Vx,Wx
3e 66 pmaxuw Vx,Wx
3f 66 pmaxud Vx,Wx
40 66 pmulld Vx,Wx
41 66 phminposuw Vx,Wx
82 66 invpcid Gm,Mx
c8 np sha1nexte Vx,Wx
c9 np sha1msg1 Vx,Wx
ca np sha1msg2 Vx,Wx
cb np sha256rnds2 Vx,Wx
cc np sha256msg1 Vx,Wx
cd np sha256msg2 Vx,Wx
db 66 aesimc Vx,Wx
dc 66 aesenc Vx,Wx
dd 66 aesenclast Vx,Wx
de 66 aesdec Vx,Wx
df 66 aesdeclast Vx,Wx
f0 np|66 movbe Gv,Mv
f0 f2 crc32 Gy,Eb
f1 np|66 movbe Mv,Gv
f1 f2 crc32 Gy,Ev
f6 66 adcx Gy,Ey
f6 f3 adox Gy,Ey
`;
