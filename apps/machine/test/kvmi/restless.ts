import { type Assembler, cr3, eax, ecx, edx, mem, rax, rdi, rsi, rsp } from "@vm/asm";
import { handlers, PAGE, RESULT } from "./handlers.js";

/** What is looked at of a machine. */
interface Observed {
  readonly memory: { readU32(gpa: number): number; write(gpa: number, src: Uint8Array): unknown };
  readonly vcpus: readonly { readonly cpu: { sipi(vector: number): void } }[];
}

const WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);

/** For ever: whatever can be reported, then one more at {@link RESULT}. Survives any exception, and any of its states being restored. */
export function restless(a: Assembler): void {
  const [plain, coded, start, again] = [a.label("plain"), a.label("coded"), a.label("start"), a.label("again")];
  a.jmp(start);
  a.bind(coded).add(rsp, 8);
  a.bind(plain).iretq();
  a.bind(start);
  handlers(
    a,
    Object.fromEntries(
      Array.from({ length: 32 }, (_, vector) => [vector, WITH_ERROR_CODE.has(vector) ? coded : plain]),
    ),
  );
  a.bind(again);
  a.xor(eax, eax).cpuid().int3().mov(rax, cr3).mov(cr3, rax).xor(rax, 0x18).mov(cr3, rax);
  a.mov(ecx, 0x174)
    .rdmsr()
    .inc(eax)
    .wrmsr()
    .mov(rdi, RESULT + 64)
    .sgdt(mem(rdi))
    .lgdt(mem(rdi));
  a.mov(rdi, PAGE)
    .mov(rax, mem(rdi))
    .mov(mem(rdi, { disp: 0xffc }), rax);
  a.mov(rsi, PAGE)
    .mov(rdi, PAGE + 64)
    .mov(ecx, 16)
    .rep()
    .movsb();
  a.xor(edx, edx).mov(rax, 34).mov(rdi, 24).mov(rsi, 0).vmcall();
  a.mov(rdi, RESULT)
    .add(mem(rdi, { size: 8 }), 1)
    .jmp(again);
}

/** Times the first processor has gone round. */
export const rounds = (machine: Observed): number => machine.memory.readU32(RESULT);

const CODE = 0x30000;
const IRET = 0x200;
const COUNT = 0x800;
/** Code of the second processor, in real mode: a stack; then CPUID, INT3, SGDT, and one more at COUNT, for ever. */
const SECOND = [
  [0xb8, 0x00, 0x30, 0x8e, 0xd0, 0xbc, 0x00, 0x10],
  [0x2e, 0x66, 0xff, 0x06, 0x00, 0x08, 0x0f, 0xa2, 0xcc],
  [0x2e, 0x0f, 0x01, 0x06, 0x10, 0x08, 0xeb, 0xef],
];

/** Starts the second processor. */
export function startSecond(machine: Observed): void {
  const vectors = new Uint32Array(32).fill((CODE << 12) | IRET);
  machine.memory.write(0, new Uint8Array(vectors.buffer));
  machine.memory.write(CODE + IRET, Uint8Array.of(0xcf));
  machine.memory.write(CODE, Uint8Array.from(SECOND.flat()));
  machine.vcpus[1]?.cpu.sipi(CODE >> 12);
}

/** Times the second processor has gone round. */
export const secondRounds = (machine: Observed): number => machine.memory.readU32(CODE + COUNT);
