/** One command in a Linux guest, and where in the guest it is to run. */
export interface ExecPlan {
  /** For the shell: `sh -c COMMAND`. Up to {@link COMMAND_MAX} bytes of UTF-8, no NUL. */
  readonly command: string;
  /** Eight bytes that nobody in the guest can know: they open the agent's frames. */
  readonly tag: Uint8Array;
  /** The command has an input; without one it reads from /dev/null. */
  readonly input: boolean;
  /** What the kernel command line says of the root. */
  readonly root: RootWords;
}

/** Most bytes a command can have: Linux limits one argument to 32 pages with its NUL (MAX_ARG_STRLEN). */
export const COMMAND_MAX = 32 * 4096 - 1;

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
