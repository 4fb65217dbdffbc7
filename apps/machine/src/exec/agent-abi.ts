/** What the agent in the guest and its host agree on; the agent's code is in agent-image.ts. All numbers are little-endian. */

/** Where the agent's file is loaded, whole. */
export const AGENT_BASE = 0x400000;
/** Its memory ends here. */
export const AGENT_END = 0x440000;

/** Eight bytes that open every frame of the agent: {@link FIRST_TAG} until the host writes others here. */
export const TAG = 0x410000;
export const REQUEST = 0x410040;
/** The byte that a request opens with. */
export const REQUEST_HEAD = 0x410080;
export const POLL = 0x410100;
export const SIGNAL = 0x410200;
export const FRAME = 0x411000;
export const INPUT = 0x413000;
/** From here to {@link AGENT_END} the memory is the host's to use. */
export const SCRATCH = 0x414000;
export const SCRATCH_SIZE = AGENT_END - SCRATCH;

/** The tag of a frame before there is a secret one. */
export const FIRST_TAG = "vm-agent";

/** Words of a request, 64 bits each in the agent's memory: its number, then seven arguments. */
export const REQUEST_WORDS = 8;
/** Bytes of a tag. */
export const TAG_SIZE = 8;
/** Bytes of a frame's head: tag, 32 bits of type, 32 bits of length. */
export const HEAD_SIZE = 16;
/** Most bytes that a frame, or a piece of data for the agent, carries. */
export const PAYLOAD_MAX = 4096;

/** What the host asks. All but `Data` and `Kill` are answered, with one `Reply` unless said otherwise. */
export const Ask = {
  /** A system call: number and six arguments. The reply is its result, 64 bits signed. */
  Syscall: 0,
  /** Address and length; as many bytes follow, which are stored there. The reply is empty. */
  Poke: 1,
  /** Address and length, which is at most {@link PAYLOAD_MAX}. The reply is what is there. */
  Peek: 2,
  /**
   * Address of records of 64 bytes (number, six arguments, room for the result). A child process makes these system calls in turn until one is
   * an execve that succeeds, or the number is -1. The reply is the child's process id.
   */
  Spawn: 3,
  /**
   * Descriptors of the writing end of the child's input (-1: it has none) and the reading ends of its output and errors, a signalfd
   * for SIGCHLD, the child's process id. Frames `Output`, `Errors`, `Ready` and `Closed` until all has ended, then `Exit`.
   */
  Pump: 4,
  /** Length; as many bytes follow, at most {@link PAYLOAD_MAX}: input for the command, none at its end. Answers a `Ready`. */
  Data: 5,
  /** Signal for the command's process group. */
  Kill: 6,
} as const;

/** Types of frames. */
export const Say = {
  /** The agent has started. 64 bits: the stack pointer the kernel gave it, where argc is. */
  Hello: 1,
  Reply: 2,
  /** The command wrote to its output. */
  Output: 3,
  Errors: 4,
  /** The command can take input. */
  Ready: 5,
  /** The command has closed its input. */
  Closed: 6,
  /** The command and all that held its output open have ended. 32 bits: status as of wait4(2). */
  Exit: 7,
} as const;
