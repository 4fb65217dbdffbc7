import { Assembler, eax, ecx, edi, edx, mem, r15, rcx, rsi, rsp } from "@vm/asm";
import { createMachine } from "@vm/machine";
import { ClockMode, VVAR_ABIS, type VvarAbi, type VvarAbiName, type VvarPage, vdsoImage } from "@vm/vdso-timens";
import { type Door, Violation } from "../door.js";
import { elf, LOAD } from "../guest/elf.js";
import { Random } from "../random.js";

const PAGE = 4096;
/** Code, then the pages and the image; what a call may write is elsewhere. */
const PAGES_AT = LOAD + PAGE;
const STACK = 0x30_0000;
const RESULT = 0x40_0000;
const COUNT = 0x50_0000;
const CALLS = 20;
const FUNCTIONS = ["clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"] as const;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Pages below an image that hold anything, and half of what makes sense. */
function spoil(random: Random, abi: VvarAbi): Uint8Array {
  const pages = Uint8Array.from(random.bytes(abi.pages.length * PAGE));
  const view = new DataView(pages.buffer);
  for (const page of ["time", "timens"] as const)
    for (const structure of [0, 1]) {
      const at = abi.pages.indexOf(page) * PAGE + abi.clocks + structure * abi.stride;
      view.setUint32(at + abi.fields.seq, random.chance(60) ? 2 * random.below(5) : random.word(), true);
      const modes = [ClockMode.None, ClockMode.Tsc, ClockMode.Pvclock, ClockMode.Timens, random.word()];
      view.setUint32(at + abi.fields.mode, random.pick(modes), true);
    }
  return pages;
}

/** Whether a reader ends: the sequence that it waits for is even, here or, from a namespace's page, in the real one. */
function ends(pages: Uint8Array, abi: VvarAbi, structure: number): boolean {
  const view = new DataView(pages.buffer);
  const word = (page: VvarPage, field: "seq" | "mode"): number =>
    view.getUint32(abi.pages.indexOf(page) * PAGE + abi.clocks + structure * abi.stride + abi.fields[field], true);
  if ((word("time", "seq") & 1) === 0) return true;
  return word("time", "mode") === ClockMode.Timens && (word("timens", "seq") & 1) === 0;
}

/** A guest that calls a function of the image `CALLS` times and halts; a system call answers with ENOSYS. */
function caller(target: number, clock: number): Uint8Array {
  const a = new Assembler({ org: LOAD });
  const kernel = a.label("kernel");
  a.mov(rsp, STACK).mov(ecx, 0xc0000080).rdmsr().or(eax, 1).wrmsr();
  a.mov(ecx, 0xc0000082).mov(eax, kernel).xor(edx, edx).wrmsr();
  a.mov(ecx, 0xc0000081).xor(eax, eax).mov(edx, 0x10).wrmsr();
  a.mov(r15, target);
  const again = a.here("again");
  a.mov(edi, clock).mov(rsi, RESULT).call(r15);
  a.inc(mem(COUNT, { size: 4 }))
    .cmp(mem(COUNT, { size: 4 }), CALLS)
    .jb(again);
  const end = a.here("end");
  a.hlt().jmp(end);
  a.bind(kernel).mov(eax, -38).jmp(rcx);
  const code = new Uint8Array(PAGE);
  code.set(a.assemble());
  return code;
}

/** The image of a vDSO over pages that a host has filled with anything. */
export const vvarPages: Door = {
  name: "vvar-pages",
  summary: "pages that the vDSO of @vm/vdso-timens reads",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const image = vdsoImage({ abi: random.pick(Object.keys(VVAR_ABIS) as VvarAbiName[]) });
    const { abi } = image;
    const pages = spoil(random, abi);
    const imageAt = PAGES_AT + pages.length;
    const call = random.pick(FUNCTIONS);
    const clock = call === "clock_gettime" ? random.below(20) : RESULT + 64;
    const code = caller(imageAt + (image.symbols.get(`__vdso_${call}`) as number), clock);
    const loaded = new Uint8Array(PAGE + pages.length + image.bytes.length);
    loaded.set(code);
    loaded.set(pages, PAGE);
    loaded.set(image.bytes, PAGE + pages.length);
    const machine = await createMachine({ kernel: elf(loaded, LOAD), memory: 16 * 2 ** 20, clock: "icount" });
    await turn();
    opened();
    const run = machine.run();
    const count = new Uint8Array(4);
    const done = (): number => {
      machine.memory.read(COUNT, count);
      return new DataView(count.buffer).getUint32(0, true);
    };
    for (let turns = 0; turns < 5 && done() < CALLS; turns++) await turn();
    machine.stop();
    const exit = await run;
    const calls = done();
    if (exit.reason !== "stopped" && (exit.reason !== "halted" || calls < CALLS))
      throw new Violation("ended", `${call}: the guest ended with ${exit.reason}`);
    const waits = call === "clock_gettime" || call === "gettimeofday";
    const counted = call === "gettimeofday" || (clock < 16 && (0x8e3 >> clock) & 1) || clock === 4;
    const wanted = !waits || !counted || ends(pages, abi, call === "clock_gettime" && clock === 4 ? 1 : 0);
    if (calls > 0 !== wanted)
      throw new Violation("calls", `${call} of clock ${clock}: ${calls} calls, expected ${wanted ? "some" : "none"}`);
    const after = new Uint8Array(loaded.length);
    machine.memory.read(LOAD, after);
    if (Buffer.compare(after, loaded) !== 0)
      throw new Violation("written", `${call} has written to its pages or its code`);
    return { sums: { calls }, kinds: { function: call, abi: abi.name } };
  },
};
