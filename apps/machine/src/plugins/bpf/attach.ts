import { AttachType, BpfError, type Btf, BtfKind, type LoadedProgram, type Pair, ProgramType } from "@vm/bpf-storage";
import { halvesOf, u64, type Vcpu } from "@vm/cpu";
import type { Mmu } from "@vm/mmu";
import type { Disposer } from "../../emitter.js";
import type { VcpuRegisters } from "../../registers.js";
import type { VcpuHandle } from "../../vcpu-handle.js";
import { functionExits } from "./function-exits.js";
import { type GuestHost, memberOffset } from "./guest-host.js";
import type { GuestKernel } from "./guest-kernel.js";
import { functionArguments, Shadow } from "./shadow.js";
import { type CallFilter, SystemCalls } from "./system-calls.js";
import { findTracepoint } from "./tracepoints.js";

/** Arguments that a function gets in registers. */
const IN_REGISTERS = 6;
/** Arguments of a program of tracing at most (`MAX_BPF_FUNC_ARGS`). */
const ARGUMENTS_MOST = 12;
/** What pt_regs have where no system call is served, and the kernel's segments. */
const [NO_SYSTEM_CALL, KERNEL_CS, KERNEL_DS] = [(1n << 64n) - 1n, 0x10n, 0x18n];
const SYSTEM_CALLS = "do_syscall_64";
const SYSTEM_CALL_ENDS = "syscall_exit_to_user_mode";

/** What attaching takes. */
export interface AttachHost {
  readonly vcpus: readonly VcpuHandle[];
  readonly memory: Mmu;
  readonly kernel: GuestKernel;
  readonly btf: Btf;
  readonly guest: GuestHost;
}

/** What a program wants to know of an event: its arguments, say. Null if they cannot be made out, nothing if the event is not for it. */
type Words = (cpu: Vcpu, vcpu: VcpuHandle) => readonly bigint[] | null;

/** Attaches programs to events of a kernel that knows nothing of it. */
export class Attacher {
  readonly #host: AttachHost;
  readonly #shadow: Shadow;
  readonly #calls: SystemCalls;
  /** Events whose arguments could not be made out. */
  lost = 0;

  constructor(host: AttachHost) {
    this.#host = host;
    this.#shadow = new Shadow(host.memory);
    const [{ memory }] = host.vcpus as readonly [VcpuHandle];
    this.#calls = new SystemCalls(host.kernel.symbols, host.btf, memory);
  }

  /** @throws {BpfError} for events that there are not, or cannot be had from outside */
  attach(loaded: LoadedProgram): Disposer {
    const { from } = loaded;
    const { target } = from;
    if (target === null)
      throw new BpfError("EINVAL", `program ${from.name}: section ${from.section} does not say what it is for`);
    const tracing = from.type === ProgramType.Tracing;
    if (from.type === ProgramType.RawTracepoint || (tracing && from.attach === AttachType.TraceRawTp))
      return this.#tracepoint(loaded, target);
    if (tracing && from.attach === AttachType.TraceFentry) return this.#entry(loaded, target);
    if (tracing && from.attach === AttachType.TraceFexit) return this.#exit(loaded, target);
    const calls = from.type === ProgramType.Tracepoint ? this.#calls.filter(target) : null;
    if (calls !== null) return this.#callRecords(loaded, calls);
    const kprobe = from.type === ProgramType.Kprobe && /^k(ret)?probe\//.test(from.section);
    if (kprobe) return from.section.startsWith("kret") ? this.#kretprobe(loaded, target) : this.#kprobe(loaded, target);
    throw new BpfError(
      "EOPNOTSUPP",
      `program ${from.name}: section ${from.section} cannot be had from outside; tp_btf, raw_tp, fentry, fexit, kprobe, kretprobe and the tracepoints of system calls can`,
    );
  }

  #tracepoint(loaded: LoadedProgram, name: string): Disposer {
    const { vcpus, kernel, btf } = this.#host;
    const [vcpu] = vcpus as readonly [VcpuHandle];
    if (name === "sys_enter") return this.#systemCalls(loaded);
    if (name === "sys_exit") return this.#systemCallEnds(loaded);
    const layout = { key: memberOffset(btf, "tracepoint", "key"), funcs: memberOffset(btf, "tracepoint", "funcs") };
    const found = findTracepoint(name, kernel.symbols, layout, vcpu.memory);
    if (found === null)
      throw new BpfError("ENOENT", `program ${loaded.from.name}: the kernel has no tracepoint ${name}`);
    const count = this.#parameters(`btf_trace_${name}`, BtfKind.Typedef) - 1;
    const { sites, callees, probes } = found;
    const pretences = [{ address: probes, value: probes }];
    return joined(
      sites.map(({ code, target }) =>
        this.#at(code, loaded, (cpu, { memory }) => {
          const at = this.#shadow.run(cpu, target, callees, pretences);
          if (at === null) return null;
          const words = [at.rsi, at.rdx, at.rcx, at.r8, at.r9].slice(0, count);
          for (let k = words.length; k < count; k++) words.push(memory.readU64(at.rsp + BigInt(8 * (k - 4))) ?? 0n);
          return words;
        }),
      ),
    );
  }

  /** The kernel asks for its tracepoint of system calls only in tasks that are traced: this one is where it begins to serve a call. */
  #systemCalls(loaded: LoadedProgram): Disposer {
    return this.#at(this.#symbol(loaded, SYSTEM_CALLS), loaded, (cpu) => {
      const [regs = 0n, number = 0n] = functionArguments(cpu);
      return [regs, BigInt.asIntN(32, number)];
    });
  }

  #systemCallEnds(loaded: LoadedProgram): Disposer {
    const ax = BigInt(memberOffset(this.#host.btf, "pt_regs", "ax"));
    return this.#at(this.#symbol(loaded, SYSTEM_CALL_ENDS), loaded, (cpu, { memory }) => {
      const [regs = 0n] = functionArguments(cpu);
      return [regs, memory.readU64(regs + ax) ?? 0n];
    });
  }

  #callRecords(loaded: LoadedProgram, filter: CallFilter): Disposer {
    const at = this.#symbol(loaded, filter.enter ? SYSTEM_CALLS : SYSTEM_CALL_ENDS);
    return this.#at(at, loaded, (cpu) => {
      const [regs = 0n] = functionArguments(cpu);
      return this.#calls.record(regs, filter, this.#host.guest.task().tid) ?? [];
    });
  }

  #entry(loaded: LoadedProgram, name: string): Disposer {
    const count = this.#registerParameters(loaded, name);
    return this.#at(this.#symbol(loaded, name), loaded, (cpu) => functionArguments(cpu).slice(0, count));
  }

  #exit(loaded: LoadedProgram, name: string): Disposer {
    const count = this.#registerParameters(loaded, name);
    const address = this.#symbol(loaded, name);
    const ip = pairOf(address);
    return functionExits(this.#host.vcpus, address, (vcpu, words) => {
      this.#host.guest.begin(vcpu);
      const { cpu } = vcpu;
      const result = u64(cpu.regLo(0), cpu.regHi(0));
      loaded.program.runTraced([...words.slice(0, count), result], { ip });
    });
  }

  #kprobe(loaded: LoadedProgram, name: string): Disposer {
    return this.#at(this.#symbol(loaded, name), loaded, (_, { registers }) => ptRegs(registers));
  }

  #kretprobe(loaded: LoadedProgram, name: string): Disposer {
    const address = this.#symbol(loaded, name);
    const ip = pairOf(address);
    return functionExits(this.#host.vcpus, address, (vcpu) => {
      this.#host.guest.begin(vcpu);
      loaded.program.runTraced(ptRegs(vcpu.registers), { ip });
    });
  }

  #at(address: bigint, { program }: LoadedProgram, words: Words): Disposer {
    const { vcpus, guest } = this.#host;
    const ip = pairOf(address);
    return joined(
      vcpus.map((vcpu) =>
        vcpu.breakpoint(address, () => {
          guest.begin(vcpu);
          const known = words(vcpu.cpu, vcpu);
          if (known === null) this.lost++;
          else if (known.length > 0) program.runTraced(known, { ip });
        }),
      ),
    );
  }

  #symbol({ from }: LoadedProgram, name: string): bigint {
    const address = this.#host.kernel.symbols.get(name);
    if (address === undefined) throw new BpfError("ENOENT", `program ${from.name}: the kernel has no function ${name}`);
    return address;
  }

  #registerParameters({ from }: LoadedProgram, name: string): number {
    const count = this.#parameters(name, BtfKind.Func);
    if (count <= IN_REGISTERS) return count;
    throw new BpfError(
      "E2BIG",
      `program ${from.name}: ${name} has ${count} arguments; expected at most ${IN_REGISTERS}`,
    );
  }

  /** How many arguments a function takes, by the kernel's types. */
  #parameters(name: string, kind: BtfKind): number {
    const { btf } = this.#host;
    const id = btf.find(name, kind);
    if (id === null) throw new BpfError("ENOENT", `the kernel has no type of ${name}`);
    let type = btf.type(btf.target(id));
    if (type.kind === BtfKind.Ptr) type = btf.type(btf.target(type.id));
    if (type.kind !== BtfKind.FuncProto) throw new BpfError("ENOENT", `the kernel's ${name} is no function`);
    return Math.min(type.params.length, ARGUMENTS_MOST);
  }
}

const pairOf = (address: bigint): Pair => {
  const [low, high] = halvesOf(address);
  return { low: low >>> 0, high: high >>> 0 };
};

/** `struct pt_regs` (arch/x86/include/uapi/asm/ptrace.h), of the kernel's own code. */
function ptRegs(registers: VcpuRegisters): bigint[] {
  const { r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, rip, rflags, rsp } = registers;
  const general = [r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi];
  return [...general, NO_SYSTEM_CALL, rip, KERNEL_CS, rflags, rsp, KERNEL_DS];
}

const joined =
  (disposers: readonly Disposer[]): Disposer =>
  () => {
    for (const dispose of disposers) dispose();
  };
