import { Assembler, builtinGuest, eax, ecx, mem, r8, rax, rcx, short } from "@vm/asm";

const a = new Assembler({ org: 0x1000 });
const [loop, table] = [a.label("loop"), a.label("table")];
a.lea(r8, mem(table)).mov(ecx, 3).xor(eax, eax);
a.bind(loop);
a.add(rax, mem(r8, { index: rcx, scale: 8, disp: -8 }));
a.dec(ecx).jnz(short(loop)).ret();
a.align(8).bind(table).dq(1, 2, 3);
console.log(Buffer.from(a.assemble()).toString("hex"));

const { image, entry } = builtinGuest();
console.log(`${image.length} bytes, entered at 0x${entry.toString(16)}`);
