import type { Disposer, MachineHandle, Plugin } from "@vm/machine";

/** Counts system calls by process and number. */
export class SyscallCounter implements Plugin {
  readonly name = "syscall-counter";
  readonly counts = new Map<number, Map<number, number>>();

  install(machine: MachineHandle): Disposer {
    const observers = machine.vcpus.map(({ cpu, on }) =>
      on("syscall", () => {
        // A process is its page table; Linux may keep two side by side, one of them for user mode.
        const process = (cpu.paging.cr3Lo >>> 13) * 8192;
        const calls = this.counts.get(process) ?? new Map<number, number>();
        this.counts.set(process, calls);
        const rax = cpu.regLo(0);
        calls.set(rax, (calls.get(rax) ?? 0) + 1);
      }),
    );
    return () => {
      for (const end of observers) end();
    };
  }
}
