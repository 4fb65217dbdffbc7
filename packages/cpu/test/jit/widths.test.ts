import { expect, test } from "vitest";
import { CODE, EngineMachine, halves } from "../../tools/engines/machine.js";

test("what one way of a branch leaves in a register says nothing of it on the other", () => {
  const head = [0x48, 0xbb, 5, 0, 0, 0, 1, 0, 0, 0, 0xf6, 0xc1, 1]; // again: mov rbx, 0x100000005; test cl, 1
  const other = [0x83, 0xfb, 5, 0x0f, 0x94, 0xc0, 0x0f, 0xb6, 0xc0, 0x01, 0xc2]; // cmp ebx, 5; sete al; movzx eax, al; add edx, eax
  const taken = [0xbb, 7, 0, 0, 0]; // taken: mov ebx, 7
  const jz = [0x74, other.length + 5];
  const length = head.length + jz.length + other.length + 5 + taken.length + 2;
  const code = [
    ...[0xb9, 40, 0, 0, 0, 0x31, 0xd2], // mov ecx, 40; xor edx, edx
    ...[...head, ...jz, ...other],
    ...[0xff, 0xc9, 0x75, -(length - taken.length - 2 - 1) & 0xff, 0xf4], // tail: dec ecx; jnz again; hlt
    ...[...taken, 0xeb, -(taken.length + 2 + 5) & 0xff], // jmp tail
  ];
  for (const jit of [undefined, { threshold: 1, again: 1, batch: 1 }, { threshold: 4, again: 4, batch: 1 }]) {
    const machine = new EngineMachine(jit);
    machine.reset(0n, 0);
    machine.write(CODE, code);
    machine.vcpu.setRip(...halves(BigInt(CODE)));
    expect(machine.vcpu.run(10_000)).toEqual({ reason: "hlt" });
    expect([jit, machine.vcpu.regLo(2)]).toEqual([jit, 20]);
  }
});
