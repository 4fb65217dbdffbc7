/** Errnos of the TDX ioctls, as a process gets them from KVM. */
export type TdxErrno =
  | "E2BIG"
  | "EAGAIN"
  | "EBUSY"
  | "EEXIST"
  | "EFAULT"
  | "EINTR"
  | "EINVAL"
  | "EIO"
  | "ENODEV"
  | "ENOMEM"
  | "ENOSPC";

/** What an ioctl on a TD or the bring-up of the TDX module refused, with the errno KVM returns. Unless said otherwise, nothing has changed. */
export class KvmTdxError extends Error {
  override readonly name = "KvmTdxError";

  constructor(
    readonly code: TdxErrno,
    message: string,
  ) {
    super(message);
  }
}
