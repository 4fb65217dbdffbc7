/** Error codes of the protocol; a reply carries them negated. Numbers as in Linux, except ENOSYS. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  E2BIG: 7,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  EOPNOTSUPP: 95,
  /** KVM_ENOSYS: 1000, not Linux's 38. */
  ENOSYS: 1000,
} as const;
export type Errno = (typeof Errno)[keyof typeof Errno];
/** A code by its name; EPROTO is any that the protocol has not. */
export type KvmiErrorCode = keyof typeof Errno | "EPROTO";

const NAMES: ReadonlyMap<number, keyof typeof Errno> = new Map(
  Object.entries(Errno).map(([name, value]) => [value, name as keyof typeof Errno]),
);

/** The name of a code, of either sign. */
export const errnoName = (code: number): string => NAMES.get(Math.abs(code)) ?? `error ${Math.abs(code)}`;

/** A command was refused. */
export class KvmiError extends Error {
  override readonly name = "KvmiError";
  /** The name of {@link errno}. */
  readonly code: KvmiErrorCode;
  constructor(
    /** The command's name. */
    readonly command: string,
    /** Positive. */
    readonly errno: number,
  ) {
    super(`${command}: ${errnoName(errno)}`);
    this.code = NAMES.get(errno) ?? "EPROTO";
  }
}
