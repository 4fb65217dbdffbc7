import { SnapshotError, type SnapshotErrorCode } from "../error.js";

/** What the host's codes mean for who wanted a snapshot. */
const MEANINGS: Readonly<Record<string, readonly [SnapshotErrorCode, string]>> = {
  ENOSPC: ["full", "there is no room left on the disk"],
  EDQUOT: ["full", "there is no room left in the quota"],
  EFBIG: ["full", "a file would be larger than is allowed there"],
  EROFS: ["readonly", "the file system is read-only"],
  EACCES: ["readonly", "writing is not allowed there"],
  EPERM: ["readonly", "writing is not allowed there"],
  ENOENT: ["absent", "the folder that it is to lie in is not there"],
};

/**
 * The failure of a write in the words of who asked for it. What is no failure of the host is what it was.
 * @param inPlace whether the new snapshot is where the old one was
 */
export function explain(error: unknown, path: string, inPlace: boolean): unknown {
  if (!isHostError(error)) return error;
  const [code, why] = MEANINGS[error.code ?? ""] ?? ["io", error.message];
  const state = inPlace
    ? "the new snapshot is in place, but may not survive the end of the host"
    : "a snapshot that was there is as it was";
  return new SnapshotError(code, `${path} cannot be written: ${why}; ${state}`, { cause: error });
}

/** Failures of system calls say which. */
const isHostError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
