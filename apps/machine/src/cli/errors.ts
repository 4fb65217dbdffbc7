/** What was asked on the command line cannot be done. The message is one sentence; the program ends with status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Why a file could not be used, in words, from an error of the file system. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EPERM: "permission denied",
    EISDIR: "it is a directory",
    EROFS: "its file system is read-only",
    ENXIO: "there is no such device",
    ENOSPC: "no space is left on the host's device",
    EDQUOT: "the host's disk quota is used up",
    EFBIG: "the host's file cannot grow any more",
    EIO: "the host's device failed",
  };
  return words[code ?? ""] ?? message;
}
