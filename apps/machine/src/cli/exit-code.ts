/** Statuses of the program; those of a command run with --exec are its own. */
export const ExitCode = {
  Ok: 0,
  /** The command line, a kernel, a disk: something given cannot be used. Nothing was started. */
  Usage: 2,
  /** Triple fault, or another state the guest cannot leave. */
  Crash: 3,
  /** As timeout(1) has it. */
  Timeout: 124,
  /** --exec: the guest ended before its command did. */
  NoStatus: 125,
} as const;
