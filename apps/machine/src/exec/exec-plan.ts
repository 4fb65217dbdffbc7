import { AGENT_IN_DEV, AGENT_IN_INITRD } from "./agent-paths.js";

/** How an agent gets to where commands are to run, and is told from what only looks like one. */
export interface ExecPlan {
  /** Eight bytes that nobody in the guest can know: they open the agent's frames. */
  readonly tag: Uint8Array;
  /** What the kernel command line says of the root. */
  readonly root: RootWords;
}

/** One command in a Linux guest. */
export interface ExecCommand {
  /** For the shell: `sh -c COMMAND`; see {@link commandFault}. */
  readonly command: string;
  /** It has an input; without one it reads from /dev/null. */
  readonly input: boolean;
}

/** Most bytes a command can have: Linux limits one argument to 32 pages with its NUL (MAX_ARG_STRLEN). */
export const COMMAND_MAX = 32 * 4096 - 1;

/** Why a command cannot be handed over: the end of a sentence that begins with "the command"; null if it can. */
export function commandFault(command: string): string | null {
  const { length } = new TextEncoder().encode(command);
  if (length > COMMAND_MAX) return `has ${length} bytes; Linux takes ${COMMAND_MAX}`;
  return command.includes("\0") ? "holds a NUL, which no argument can" : null;
}

/**
 * The command line with the agent as first program, in place of the user's if he names one. What follows `--` is for init and left alone.
 */
export function withAgentAsInit(own: string): string {
  const end = own.search(/(?:^|\s)--(?:\s|$)/);
  const kernels = (end < 0 ? own : own.slice(0, end)).replace(/(?<!\S)(?:rd)?init=\S*/g, "");
  return `${kernels} rdinit=${AGENT_IN_INITRD} init=${AGENT_IN_DEV}${end < 0 ? "" : ` ${own.slice(end).trim()}`}`;
}

/** Words of the kernel command line by which a root is found. */
export interface RootWords {
  /** `root=`, null without one. */
  readonly root: string | null;
  /** `rootfstype=`: file system types to try, all that the kernel knows if empty. */
  readonly types: readonly string[];
  /** `rootflags=`. */
  readonly flags: string;
  /** `ro`: the root stays read-only. */
  readonly readonly: boolean;
  /** The first program of the initial ram disk: `rdinit=`, else /init. */
  readonly init: string;
}

/** Reads those words. Later ones win, as in the kernel; what follows `--` is for init. */
export function rootWords(commandLine: string): RootWords {
  let words = commandLine.split(/\s+/);
  if (words.includes("--")) words = words.slice(0, words.indexOf("--"));
  const last = (key: string): string | null =>
    words.findLast((word) => word.startsWith(`${key}=`))?.slice(key.length + 1) ?? null;
  return {
    root: last("root"),
    types: (last("rootfstype") ?? "").split(",").filter((type) => type !== ""),
    flags: last("rootflags") ?? "",
    readonly: words.findLast((word) => word === "ro" || word === "rw") === "ro",
    init: last("rdinit") ?? "/init",
  };
}

/** The guest cannot run the command. The message is half a sentence that says why. */
export class ExecFailure extends Error {
  override readonly name = "ExecFailure";
}
