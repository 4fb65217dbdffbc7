/** Errors of the uapi that bpf(2), a map or a helper answers with, and their numbers on x86-64. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  EPROTO: 71,
  EBADFD: 77,
  ENOTSOCK: 88,
  EOPNOTSUPP: 95,
  ESTALE: 116,
  ENOTSUPP: 524,
} as const;
export type Errno = keyof typeof ERRNO;

/** What a call would fail with on Linux. The message says what was wrong and what would be accepted. */
export class BpfError extends Error {
  override readonly name = "BpfError";

  constructor(
    readonly code: Errno,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}
