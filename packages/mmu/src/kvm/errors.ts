import type { Gfn } from "../units.js";

/** Errnos of the ioctls and system calls on guest memory. */
export type Errno =
  | "EAGAIN"
  | "EBADF"
  | "EBUSY"
  | "EFAULT"
  | "EHWPOISON"
  | "EINTR"
  | "EINVAL"
  | "EIO"
  | "ENODEV"
  | "ENOENT"
  | "ENOMEM"
  | "ENOTTY"
  | "EOPNOTSUPP"
  | "EPERM";

/** What an ioctl or a system call refused, with the errno it would return. Unless said otherwise, nothing has changed. */
export class KvmError extends Error {
  override readonly name: string = "KvmError";

  constructor(
    readonly code: Errno,
    message: string,
  ) {
    super(message);
  }
}

/** The host or a device asked for the bytes of a page that is private to the guest. */
export class PrivateMemoryError extends Error {
  override readonly name = "PrivateMemoryError";
  readonly code = "private";

  constructor(readonly gfn: Gfn) {
    super(
      `guest frame 0x${gfn.toString(16)} is private to the guest; the host can reach it only after it is converted to shared`,
    );
  }
}
