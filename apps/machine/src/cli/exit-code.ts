/** Statuses of the program; those of a command run with --exec are its own. */
export const ExitCode = {
  Ok: 0,
  /** The command line, a kernel, a disk: something given cannot be used. Nothing was started. */
  Usage: 2,
  /** Triple fault, a bare image that halted, or another state the guest cannot leave. */
  Crash: 3,
  /** As timeout(1) has it. */
  Timeout: 124,
  /** How shells report an end by SIGINT. */
  Interrupted: 130,
  /** How shells report an end by SIGPIPE. */
  BrokenPipe: 141,
  /** --exec: the guest ended before its command did. */
  NoStatus: 125,
} as const;
