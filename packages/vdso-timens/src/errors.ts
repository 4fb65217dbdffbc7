/** Errors of the uapi that a time namespace answers with. */
export type Errno =
  | "EACCES"
  | "EFAULT"
  | "EINVAL"
  | "EIO"
  | "ENOENT"
  | "ENOMEM"
  | "ENOSPC"
  | "ENOTTY"
  | "EPERM"
  | "ERANGE"
  | "ESPIPE"
  | "ESRCH"
  | "EUSERS";

/** What a system call would fail with. The message says what was wrong and what would be accepted. */
export class LinuxError extends Error {
  override readonly name = "LinuxError";

  constructor(
    readonly errno: Errno,
    message: string,
  ) {
    super(`${errno}: ${message}`);
  }
}

/** A value that the host itself gave is out of range. */
export class VdsoError extends RangeError {
  override readonly name = "VdsoError";
}
