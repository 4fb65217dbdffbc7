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
    readonly code: Errno,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** What a host gave that cannot be used: an option of the image, a page, the inode of a namespace. */
export type VdsoErrorCode = "option" | "page" | "inode";

/** A value that the host itself gave is out of range; nothing has changed. The message names it and says what would be accepted. */
export class VdsoError extends RangeError {
  override readonly name = "VdsoError";

  constructor(
    readonly code: VdsoErrorCode,
    message: string,
  ) {
    super(message);
  }
}
