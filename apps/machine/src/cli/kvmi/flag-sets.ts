/** Numbers with names, as Linux has them for x86-64 (include/uapi). */
export interface FlagSet {
  /** Names by bits; the first that fit are taken. */
  readonly bits: readonly (readonly [name: string, value: number])[];
  /** A part that is a number, with its own names. */
  readonly choice?: { readonly mask: number; readonly names: ReadonlyMap<number, string> };
  /** What 0 is called. */
  readonly zero?: string;
}

const listed = (prefix: string, names: string, first = 0): ReadonlyMap<number, string> =>
  new Map(names.split(" ").map((name, k) => [first + k, `${prefix}${name}`]));
const bits = (prefix: string, names: Readonly<Record<string, number>>): FlagSet["bits"] =>
  Object.entries(names).map(([name, value]) => [`${prefix}${name}`, value]);

const WAYS: ReadonlyMap<number, string> = listed("O_", "RDONLY WRONLY RDWR");

/** Flags that may be set together, by the name of the argument's kind. */
export const FLAG_SETS = {
  open: {
    choice: { mask: 3, names: WAYS },
    bits: bits("O_", {
      TMPFILE: 0o20200000,
      SYNC: 0o4010000,
      CREAT: 0o100,
      EXCL: 0o200,
      NOCTTY: 0o400,
      TRUNC: 0o1000,
      APPEND: 0o2000,
      NONBLOCK: 0o4000,
      DSYNC: 0o10000,
      ASYNC: 0o20000,
      DIRECT: 0o40000,
      LARGEFILE: 0o100000,
      DIRECTORY: 0o200000,
      NOFOLLOW: 0o400000,
      NOATIME: 0o1000000,
      CLOEXEC: 0o2000000,
      PATH: 0o10000000,
    }),
  },
  prot: { zero: "PROT_NONE", bits: bits("PROT_", { READ: 1, WRITE: 2, EXEC: 4, GROWSDOWN: 0x1000000 }) },
  map: {
    choice: { mask: 15, names: listed("MAP_", "SHARED PRIVATE SHARED_VALIDATE", 1) },
    bits: bits("MAP_", {
      FIXED: 0x10,
      ANONYMOUS: 0x20,
      "32BIT": 0x40,
      GROWSDOWN: 0x100,
      DENYWRITE: 0x800,
      LOCKED: 0x2000,
      NORESERVE: 0x4000,
      POPULATE: 0x8000,
      NONBLOCK: 0x10000,
      STACK: 0x20000,
      HUGETLB: 0x40000,
      SYNC: 0x80000,
      FIXED_NOREPLACE: 0x100000,
    }),
  },
  clone: {
    bits: bits("CLONE_", {
      VM: 0x100,
      FS: 0x200,
      FILES: 0x400,
      SIGHAND: 0x800,
      PIDFD: 0x1000,
      PTRACE: 0x2000,
      VFORK: 0x4000,
      PARENT: 0x8000,
      THREAD: 0x10000,
      NEWNS: 0x20000,
      SYSVSEM: 0x40000,
      SETTLS: 0x80000,
      PARENT_SETTID: 0x100000,
      CHILD_CLEARTID: 0x200000,
      UNTRACED: 0x800000,
      CHILD_SETTID: 0x1000000,
      NEWCGROUP: 0x2000000,
      NEWUTS: 0x4000000,
      NEWIPC: 0x8000000,
      NEWUSER: 0x10000000,
      NEWPID: 0x20000000,
      NEWNET: 0x40000000,
    }),
  },
  at: {
    bits: bits("AT_", {
      SYMLINK_NOFOLLOW: 0x100,
      EACCESS: 0x200,
      SYMLINK_FOLLOW: 0x400,
      NO_AUTOMOUNT: 0x800,
      EMPTY_PATH: 0x1000,
    }),
  },
  unlink: { bits: bits("AT_", { REMOVEDIR: 0x200 }) },
  access: { zero: "F_OK", bits: bits("", { R_OK: 4, W_OK: 2, X_OK: 1 }) },
  socktype: {
    choice: { mask: 15, names: listed("SOCK_", "STREAM DGRAM RAW RDM SEQPACKET DCCP", 1) },
    bits: bits("SOCK_", { NONBLOCK: 0o4000, CLOEXEC: 0o2000000 }),
  },
  pipe: { bits: bits("O_", { CLOEXEC: 0o2000000, NONBLOCK: 0o4000, DIRECT: 0o40000 }) },
  wait: { bits: bits("W", { NOHANG: 1, STOPPED: 2, EXITED: 4, CONTINUED: 8, NOWAIT: 0x1000000 }) },
  mount: {
    bits: bits("MS_", {
      RDONLY: 1,
      NOSUID: 2,
      NODEV: 4,
      NOEXEC: 8,
      REMOUNT: 32,
      NOATIME: 1024,
      BIND: 4096,
      MOVE: 8192,
      REC: 16384,
      SILENT: 32768,
      PRIVATE: 1 << 18,
      SHARED: 1 << 20,
      RELATIME: 1 << 21,
    }),
  },
  umount: { bits: bits("", { MNT_FORCE: 1, MNT_DETACH: 2, MNT_EXPIRE: 4, UMOUNT_NOFOLLOW: 8 }) },
  random: { bits: bits("GRND_", { NONBLOCK: 1, RANDOM: 2, INSECURE: 4 }) },
  eventfd: { bits: bits("EFD_", { SEMAPHORE: 1, CLOEXEC: 0o2000000, NONBLOCK: 0o4000 }) },
  epoll: { bits: bits("EPOLL_", { CLOEXEC: 0o2000000 }) },
  msg: {
    bits: bits("MSG_", {
      OOB: 1,
      PEEK: 2,
      DONTROUTE: 4,
      TRUNC: 0x20,
      DONTWAIT: 0x40,
      WAITALL: 0x100,
      NOSIGNAL: 0x4000,
    }),
  },
} as const satisfies Readonly<Record<string, FlagSet>>;

const CLOCKS = listed(
  "CLOCK_",
  "REALTIME MONOTONIC PROCESS_CPUTIME_ID THREAD_CPUTIME_ID MONOTONIC_RAW REALTIME_COARSE MONOTONIC_COARSE BOOTTIME",
);
const SIGNALS = listed(
  "SIG",
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS",
  1,
);

/** Numbers that are one thing each, by the name of the argument's kind. */
export const NAME_SETS = {
  whence: listed("SEEK_", "SET CUR END DATA HOLE"),
  signal: SIGNALS,
  clock: CLOCKS,
  how: listed("SIG_", "BLOCK UNBLOCK SETMASK"),
  domain: new Map([
    [0, "AF_UNSPEC"],
    [1, "AF_UNIX"],
    [2, "AF_INET"],
    [10, "AF_INET6"],
    [16, "AF_NETLINK"],
    [17, "AF_PACKET"],
    [40, "AF_VSOCK"],
  ]),
  shutdown: listed("SHUT_", "RD WR RDWR"),
  fcntl: new Map([
    ...listed("F_", "DUPFD GETFD SETFD GETFL SETFL GETLK SETLK SETLKW SETOWN GETOWN SETSIG GETSIG"),
    ...listed("F_", "SETLEASE GETLEASE NOTIFY", 1024),
    [1030, "F_DUPFD_CLOEXEC"],
    ...listed("F_", "SETPIPE_SZ GETPIPE_SZ ADD_SEALS GET_SEALS", 1031),
  ]),
  ioctl: new Map([
    [0x5401, "TCGETS"],
    [0x5402, "TCSETS"],
    [0x5403, "TCSETSW"],
    [0x5404, "TCSETSF"],
    [0x540b, "TCFLSH"],
    [0x540e, "TIOCSCTTY"],
    [0x540f, "TIOCGPGRP"],
    [0x5410, "TIOCSPGRP"],
    [0x5413, "TIOCGWINSZ"],
    [0x5414, "TIOCSWINSZ"],
    [0x541b, "FIONREAD"],
    [0x5421, "FIONBIO"],
    [0x5422, "TIOCNOTTY"],
  ]),
  madvise: new Map([
    ...listed("MADV_", "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED"),
    ...listed("MADV_", "FREE REMOVE DONTFORK DOFORK MERGEABLE UNMERGEABLE HUGEPAGE NOHUGEPAGE DONTDUMP DODUMP", 8),
  ]),
  rlimit: listed(
    "RLIMIT_",
    "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME",
  ),
  prctl: new Map([
    [1, "PR_SET_PDEATHSIG"],
    [3, "PR_GET_DUMPABLE"],
    [4, "PR_SET_DUMPABLE"],
    [15, "PR_SET_NAME"],
    [16, "PR_GET_NAME"],
    [22, "PR_SET_SECCOMP"],
    [23, "PR_CAPBSET_READ"],
    [24, "PR_CAPBSET_DROP"],
    [36, "PR_SET_CHILD_SUBREAPER"],
    [38, "PR_SET_NO_NEW_PRIVS"],
    [47, "PR_CAP_AMBIENT"],
  ]),
  archprctl: new Map([...listed("ARCH_", "SET_GS SET_FS GET_FS GET_GS", 0x1001), [0x3001, "ARCH_CET_STATUS"]]),
  epollctl: listed("EPOLL_CTL_", "ADD DEL MOD", 1),
  futex: new Map(
    "WAIT WAKE FD REQUEUE CMP_REQUEUE WAKE_OP LOCK_PI UNLOCK_PI TRYLOCK_PI WAIT_BITSET WAKE_BITSET"
      .split(" ")
      .flatMap((name, k) => [
        [k, `FUTEX_${name}`],
        [k | 128, `FUTEX_${name}_PRIVATE`],
        [k | 384, `FUTEX_${name}_PRIVATE|FUTEX_CLOCK_REALTIME`],
      ]),
  ),
} as const satisfies Readonly<Record<string, ReadonlyMap<number, string>>>;

/** Flags as `O_WRONLY|O_CREAT`, with what has no name in hexadecimal behind. */
export function flagsText(set: FlagSet, value: number): string {
  if (value === 0 && set.zero !== undefined) return set.zero;
  let rest = value >>> 0;
  const names: string[] = [];
  const name = set.choice?.names.get(rest & set.choice.mask);
  if (set.choice !== undefined && name !== undefined) {
    names.push(name);
    rest = (rest & ~set.choice.mask) >>> 0;
  }
  for (const [bit, mask] of set.bits) {
    if ((rest & mask) >>> 0 !== mask) continue;
    names.push(bit);
    rest = (rest & ~mask) >>> 0;
  }
  if (rest !== 0 || names.length === 0) names.push(rest === 0 ? "0" : `0x${rest.toString(16)}`);
  return names.join("|");
}
