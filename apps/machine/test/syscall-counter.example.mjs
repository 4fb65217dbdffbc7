/** Counts system calls by process and number. */
export class SyscallCounter {
  name = "syscall-counter";
  /** The guest cannot tell that it is there: its machine can be saved. */
  observer = true;
  counts = new Map();

  install(machine) {
    const observers = machine.vcpus.map(({ cpu, on }) =>
      on("syscall", () => {
        // A process is its page table; Linux may keep two side by side, one of them for user mode.
        const process = (cpu.paging.cr3Lo >>> 13) * 8192;
        const calls = this.counts.get(process) ?? new Map();
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
