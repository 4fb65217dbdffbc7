import { eax, ecx, edi, edx, mem, r8, r11d, rax, rdi, rdx, rsi, short } from "@vm/asm";
import { ClockId, COARSE, HIGH_RESOLUTION, RAW } from "../clocks.js";
import type { Code } from "./code.js";

/** A function of the image. */
export interface VdsoFunction {
  /** Without `__vdso_`. */
  readonly name: string;
  readonly emit: (code: Code) => void;
}

/** Numbers of system calls that stand in where the pages do not tell. */
const SYS = { gettimeofday: 96, time: 201, clock_gettime: 228, clock_getres: 229, getcpu: 309 };
/** Selector of the segment whose limit is the CPU's number (`GDT_ENTRY_CPUNODE`, RPL 3). */
const CPUNODE_SEG = 0x7b;
const CPU_BITS = 12;

/** `int clock_gettime(clockid_t, struct timespec *)` */
const clockGettime: VdsoFunction = {
  name: "clock_gettime",
  emit: (code) => {
    const { a } = code;
    const { clocks, stride } = code.options.abi;
    const [high, coarse, call, found] = [a.label("high"), a.label("coarse"), a.label("call"), a.label("found")];
    a.cmp(edi, 15).ja(call);
    a.mov(r11d, edi).shl(r11d, 4);
    a.lea(r8, code.at("time", clocks));
    a.mov(eax, HIGH_RESOLUTION).bt(eax, edi).jc(short(high));
    a.mov(eax, COARSE).bt(eax, edi).jc(coarse);
    a.mov(eax, RAW).bt(eax, edi).jnc(call);
    a.add(r8, stride);
    a.bind(high);
    code.reading(call);
    a.bind(found);
    a.mov(mem(rsi), rdx)
      .mov(mem(rsi, { disp: 8 }), rax)
      .xor(eax, eax)
      .ret();
    a.bind(coarse);
    code.reading(null);
    a.jmp(found);
    code.finish();
    a.bind(call);
    code.systemCall(SYS.clock_gettime);
  },
};

/** `int gettimeofday(struct timeval *, struct timezone *)` */
const gettimeofday: VdsoFunction = {
  name: "gettimeofday",
  emit: (code) => {
    const { a } = code;
    const { clocks, zone } = code.options.abi;
    const [noTime, noZone, call] = [a.label("noTime"), a.label("noZone"), a.label("call")];
    a.test(rdi, rdi).jz(noTime);
    a.lea(r8, code.at("time", clocks)).xor(r11d, r11d);
    code.reading(call);
    a.mov(mem(rdi), rdx)
      .xor(edx, edx)
      .mov(ecx, 1000)
      .div(ecx)
      .mov(mem(rdi, { disp: 8 }), rax);
    a.bind(noTime);
    a.test(rsi, rsi).jz(short(noZone));
    code.realClocks();
    a.mov(rax, mem(r8, { disp: zone - clocks })).mov(mem(rsi), rax);
    a.bind(noZone);
    a.xor(eax, eax).ret();
    code.finish();
    a.bind(call);
    code.systemCall(SYS.gettimeofday);
  },
};

/** `time_t time(time_t *)`: one read, which cannot be torn. */
const time: VdsoFunction = {
  name: "time",
  emit: (code) => {
    const { a } = code;
    const none = a.label("none");
    code.realClocks();
    a.mov(rax, mem(r8, { disp: code.options.abi.fields.bases + 16 * ClockId.Realtime }));
    a.test(rdi, rdi).jz(short(none)).mov(mem(rdi), rax);
    a.bind(none);
    a.ret();
  },
};

/** `int clock_getres(clockid_t, struct timespec *)` */
const clockGetres: VdsoFunction = {
  name: "clock_getres",
  emit: (code) => {
    const { a } = code;
    const { clocks, resolution } = code.options.abi;
    const [call, high, store, none] = [a.label("call"), a.label("high"), a.label("store"), a.label("none")];
    a.cmp(edi, 15).ja(short(call));
    a.mov(eax, HIGH_RESOLUTION | RAW)
      .bt(eax, edi)
      .jc(short(high));
    a.mov(eax, COARSE).bt(eax, edi).jnc(short(call));
    a.mov(eax, code.options.tickNs).jmp(short(store));
    a.bind(high);
    code.realClocks();
    a.mov(eax, mem(r8, { disp: resolution - clocks }));
    a.bind(store);
    a.test(rsi, rsi).jz(short(none));
    a.mov(mem(rsi, { size: 8 }), 0).mov(mem(rsi, { disp: 8 }), rax);
    a.bind(none);
    a.xor(eax, eax).ret();
    a.bind(call);
    code.systemCall(SYS.clock_getres);
  },
};

/** `int getcpu(unsigned *cpu, unsigned *node, void *unused)` */
const getcpu: VdsoFunction = {
  name: "getcpu",
  emit: (code) => {
    const { a } = code;
    const [noCpu, noNode] = [a.label("noCpu"), a.label("noNode")];
    if (code.options.cpuNumber === "rdpid") a.rdpid(rax);
    else a.mov(eax, CPUNODE_SEG).lsl(eax, eax);
    a.test(rdi, rdi).jz(short(noCpu));
    a.mov(edx, eax)
      .and(edx, (1 << CPU_BITS) - 1)
      .mov(mem(rdi), edx);
    a.bind(noCpu);
    a.test(rsi, rsi).jz(short(noNode));
    a.shr(eax, CPU_BITS).mov(mem(rsi), eax);
    a.bind(noNode);
    a.xor(eax, eax).ret();
  },
};

/** The functions of the image, in the order of their code. */
export const FUNCTIONS: readonly VdsoFunction[] = [clockGettime, gettimeofday, time, clockGetres, getcpu];
