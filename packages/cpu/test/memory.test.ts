import { al, ax, dx, eax, ecx, edx, mem, rax, rbx, rsp, xmm0, xmm1 } from "@vm/asm";
import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { CODE, DATA, DEVICE, FakeMachine, frame, RAX, RBX, RSP, reg, setReg } from "./fake-machine.js";

type Write = Parameters<FakeMachine["assemble"]>[1];

/** Executes code with RBX at the device; returns the machine. */
function run(write: Write, prepare: (m: FakeMachine) => void = () => undefined): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE, (a) => {
    write(a);
    a.hlt();
  });
  setReg(m.vcpu, RBX, DEVICE);
  setReg(m.vcpu, RAX, 0x1122334455667788n);
  prepare(m);
  expect(m.go()).toEqual({ reason: "hlt" });
  return m;
}

describe("device memory: every access reaches the bus once, with its size and value", () => {
  const loads: readonly (readonly [string, Write, string, bigint])[] = [
    ["8-bit load", (a) => a.mov(al, mem(rbx, { disp: 5 })), "read f0000005 1", 0x1122334455667705n],
    ["16-bit load", (a) => a.mov(ax, mem(rbx, { disp: 6 })), "read f0000006 2", 0x1122334455660606n],
    ["32-bit load", (a) => a.mov(eax, mem(rbx, { disp: 8 })), "read f0000008 4", 0x08080808n],
    ["64-bit load", (a) => a.mov(rax, mem(rbx, { disp: 8 })), "read f0000008 8", 0x0808080808080808n],
    ["MOVZX", (a) => a.movzx(eax, mem(rbx, { disp: 5, size: 1 })), "read f0000005 1", 5n],
    ["unaligned load", (a) => a.mov(eax, mem(rbx, { disp: 3 })), "read f0000003 4", 0x03030303n],
  ];
  test.each(loads)("%s", (_, write, log, value) => {
    const m = run(write);
    expect(m.bus.log).toEqual([log]);
    expect(reg(m.vcpu, RAX)).toBe(value);
    expect(m.vcpu.counts.mmio).toBe(1);
  });

  const stores: readonly (readonly [string, Write, readonly string[]])[] = [
    ["8-bit store", (a) => a.mov(mem(rbx, { disp: 5 }), al), ["write f0000005 1 88"]],
    ["16-bit store", (a) => a.mov(mem(rbx), ax), ["write f0000000 2 7788"]],
    ["32-bit store", (a) => a.mov(mem(rbx), eax), ["write f0000000 4 55667788"]],
    ["64-bit store", (a) => a.mov(mem(rbx), rax), ["write f0000000 8 11223344:55667788"]],
    ["immediate", (a) => a.mov(mem(rbx, { size: 4 }), 0x1234), ["write f0000000 4 1234"]],
    ["ADD [m], r", (a) => a.add(mem(rbx, { disp: 4 }), eax), ["read f0000004 4", "write f0000004 4 596a7b8c"]],
    ["XCHG", (a) => a.xchg(mem(rbx, { disp: 4 }), eax), ["read f0000004 4", "write f0000004 4 55667788"]],
    ["LOCK XADD", (a) => a.lock().xadd(mem(rbx, { disp: 1 }), eax), ["read f0000001 4", "write f0000001 4 56677889"]],
    [
      "CMPXCHG that fails writes the old value back",
      (a) => a.cmpxchg(mem(rbx, { disp: 2 }), ecx),
      ["read f0000002 4", "write f0000002 4 2020202"],
    ],
    ["NOT", (a) => a.not(mem(rbx, { size: 1, disp: 0xf })), ["read f000000f 1", "write f000000f 1 f0"]],
    ["16-byte store, in two halves", (a) => a.movdqu(mem(rbx), xmm0), ["write f0000000 8 0:0", "write f0000008 8 0:0"]],
  ];
  test.each(stores)("%s", (_, write, log) => {
    expect(run(write).bus.log).toEqual(log);
  });

  test.each([
    ["a load", (a) => a.mov(eax, mem(rbx)), ["read f0000000 4"]],
    ["a read-modify-write", (a) => a.add(mem(rbx), eax), ["read f0000000 4", "write f0000000 4 55667788"]],
  ] satisfies [string, Write, string[]][])("%s, of a device that has TLBs flushed when it is read", (_, write, log) => {
    // Page 0 has its TLB entries where those of the device would be.
    const m = run(
      (a) => write(a.mov(mem(0x500), rax).mov(rax, mem(0x500))),
      (machine) => {
        const { bus } = machine;
        const mmioRead = bus.mmioRead.bind(bus);
        bus.mmioRead = (gpa, size) => {
          machine.vcpu.tlb.flush();
          return mmioRead(gpa, size);
        };
      },
    );
    expect(m.bus.log).toEqual(log);
  });

  test("XCHG leaves what was there in the register", () => {
    expect(reg(run((a) => a.xchg(mem(rbx, { disp: 4 }), eax)).vcpu, RAX)).toBe(0x04040404n);
  });

  test("PUSH and POP of device memory, and a stack in device memory", () => {
    const m = run((a) =>
      a
        .push(mem(rbx, { disp: 8, size: 8 }))
        .pop(rax)
        .mov(rsp, rbx)
        .add(rsp, 0x18)
        .push(rax),
    );
    expect(reg(m.vcpu, RAX)).toBe(0x0808080808080808n);
    expect(m.bus.log).toEqual(["read f0000008 8", "write f0000010 8 8080808:8080808"]);
  });

  test("a REP string instruction touches the device once per element", () => {
    const m = run(
      (a) => a.mov(ecx, 3).emit([0xf3, 0xab]),
      (machine) => setReg(machine.vcpu, 7, DEVICE + 0x20),
    );
    expect(m.bus.log).toEqual([0x20, 0x24, 0x28].map((at) => `write f00000${at.toString(16)} 4 55667788`));
  });

  test("REP LODS reads a device for every element, though only the last stays", () => {
    const m = run(
      (a) => a.mov(ecx, 3).emit([0xf3, 0xad]),
      (machine) => setReg(machine.vcpu, 6, DEVICE + 0x20),
    );
    expect(m.bus.log).toEqual(["read f0000020 4", "read f0000024 4", "read f0000028 4"]);
    expect(reg(m.vcpu, RAX)).toBe(0x28282828n);
  });

  // How long one instruction takes must not be the guest's choice: every read of a device may take microseconds.
  test.each([
    ["MOVS", [0xf3, 0xa5]],
    ["STOS", [0xf3, 0xab]],
    ["LODS", [0xf3, 0xad]],
    ["CMPS", [0xf3, 0xa7]],
    ["SCAS", [0xf2, 0xaf]],
  ] as const)("REP %s retires after every element of device memory", (name, code) => {
    const retired = (at: number): number =>
      run(
        (a) => a.mov(ecx, 3).emit(code),
        (machine) => {
          // Elements that are equal for CMPS, and not what EAX is for SCAS.
          setReg(machine.vcpu, 6, name === "CMPS" ? at : at + 0x40);
          setReg(machine.vcpu, 7, at);
        },
      ).vcpu.retired;
    expect(retired(DEVICE) - retired(DATA)).toBe(2);
  });

  test("code that follows in the same run reads again: nothing of the access stays", () => {
    const m = run((a) => a.mov(eax, mem(rbx)).mov(eax, mem(rbx)).mov(mem(rbx), eax).mov(mem(rbx), eax));
    expect(m.bus.log).toEqual(["read f0000000 4", "read f0000000 4", "write f0000000 4 0", "write f0000000 4 0"]);
  });
});

describe("accesses across a page boundary", () => {
  const EDGE = DATA + 0x1000;
  const scattered = (m: FakeMachine): void => {
    // The page behind is elsewhere, so that a contiguous access would go wrong.
    m.map(EDGE, { gfn: 0x50 });
    m.ram.set([1, 2, 3, 4, 5, 6, 7, 8], EDGE - 8);
    m.ram.set([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18], 0x50000);
  };
  const bytes = (m: FakeMachine): string =>
    Buffer.concat([m.ram.subarray(EDGE - 8, EDGE), m.ram.subarray(0x50000, 0x50008)]).toString("hex");

  test("load", () => {
    const m = run((a) => a.mov(rax, mem(EDGE - 3)), scattered);
    expect(reg(m.vcpu, RAX)).toBe(0x1514131211080706n);
  });

  test("store", () => {
    const m = run((a) => a.mov(mem(EDGE - 3), rax), scattered);
    expect(bytes(m)).toBe("0102030405887766" + "5544332211161718");
  });

  test("read-modify-write", () => {
    expect(
      bytes(
        run(
          (a) => a.add(mem(EDGE - 2), ecx),
          (m) => {
            scattered(m);
            setReg(m.vcpu, 1, 0x01010101);
          },
        ),
      ),
    ).toBe("0102030405060809" + "1213131415161718");
    const m = run((a) => a.xchg(mem(EDGE - 1), eax), scattered);
    expect(bytes(m)).toBe("0102030405060788" + "7766551415161718");
    expect(reg(m.vcpu, RAX)).toBe(0x13121108n);
  });

  test("16-byte load and store", () => {
    const m = run(
      (a) =>
        a
          .movdqu(xmm1, mem(EDGE - 8))
          .pxor(xmm0, xmm0)
          .movdqu(mem(EDGE - 4), xmm0),
      scattered,
    );
    expect(Buffer.from(m.vcpu.bytes(S.XMM + 16, 16)).toString("hex")).toBe("01020304050607081112131415161718");
    expect(bytes(m)).toBe("0102030400000000".padEnd(32, "0"));
  });

  test("a load and a store in one instruction, both across: PUSH [m]", () => {
    const m = run(
      (a) => a.push(mem(EDGE - 3, { size: 8 })),
      (machine) => {
        scattered(machine);
        setReg(machine.vcpu, RSP, 0x60004);
      },
    );
    expect(m.q(0x5fffc)).toBe(0x1514131211080706n);
  });

  test("into device memory: the bus sees the bytes that are its", () => {
    const m = run(
      (a) => a.mov(mem(rbx, { disp: -2 }), eax).mov(eax, mem(rbx, { disp: -2 })),
      (machine) => machine.map(DEVICE - 4096, { gfn: 0x50 }),
    );
    expect(Buffer.from(m.ram.subarray(0x50ffe, 0x51000)).toString("hex")).toBe("8877");
    expect(m.bus.log).toEqual(["write f0000000 2 5566", "read f0000000 2"]);
  });
});

describe("ports", () => {
  test("each size, with the port in DX or immediate", () => {
    const m = run((a) =>
      a.out(0x10, al).out(0x12, ax).mov(edx, 0x1234).out(dx, eax).in(al, dx).in(ax, 0x21).in(eax, 0x22),
    );
    expect(m.bus.log).toEqual([
      "out 10 1 88",
      "out 12 2 7788",
      "out 1234 4 55667788",
      "in 1234 1",
      "in 21 2",
      "in 22 4",
    ]);
    expect(reg(m.vcpu, RAX)).toBe(0x22222222n);
    expect(m.vcpu.counts.io).toBe(6);
  });

  test("an 8- or 16-bit read leaves the rest of RAX", () => {
    expect(reg(run((a) => a.in(al, 0x13)).vcpu, RAX)).toBe(0x1122334455667733n);
    expect(reg(run((a) => a.in(ax, 0x13)).vcpu, RAX)).toBe(0x1122334455663333n);
  });

  test("REP OUTS and REP INS move one element at a time, in order", () => {
    const m = run(
      (a) => a.mov(edx, 0x15).mov(ecx, 3).emit([0xf3, 0x6e]).mov(ecx, 2).emit([0xf3, 0x6d]),
      (machine) => {
        machine.ram.set([7, 8, 9], DATA);
        setReg(machine.vcpu, 6, DATA);
        setReg(machine.vcpu, 7, DATA + 0x100);
      },
    );
    expect(m.bus.log).toEqual(["out 15 1 7", "out 15 1 8", "out 15 1 9", "in 15 4", "in 15 4"]);
    expect(m.q(DATA + 0x100)).toBe(0x5555555555555555n);
    expect(reg(m.vcpu, 7)).toBe(BigInt(DATA + 0x108));
  });

  test("at CPL 3 with IOPL 0 a port beyond the TSS bitmap is #GP, and the bus sees nothing", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.in(al, 0x10));
    m.setPrivilege(m.vcpu, 3);
    m.go();
    expect(frame(m, true)).toMatchObject({ error: 0, ip: CODE });
    expect(m.bus.log).toEqual([]);
  });

  test("with IOPL 3 ports are free", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.in(al, 0x10));
    m.setPrivilege(m.vcpu, 3);
    m.vcpu.rflags = 2 | S.IOPL;
    m.vcpu.run(1);
    expect(m.bus.log).toEqual(["in 10 1"]);
  });
});
