const TIMERS = "nothing here runs when a program has ended";

/** Functions of the kernel that are not here on purpose, and why: a program that calls one is refused when it is loaded. */
export const REFUSED_KFUNCS: ReadonlyMap<string, string> = new Map([
  ["bpf_cast_to_kern_ctx", "contexts are those of linux/bpf.h, and not the kernel's own"],
  ["bpf_wq_init", TIMERS],
  ["bpf_wq_set_callback_impl", TIMERS],
  ["bpf_wq_start", TIMERS],
  ["bpf_throw", "programs end by returning"],
  ["crash_kexec", "there is no kernel to be given up"],
]);
