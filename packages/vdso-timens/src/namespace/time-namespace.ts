import { ClockId, nanoseconds, OFFSET_OF, type Timespec, timespec } from "../clocks.js";
import { LinuxError } from "../errors.js";
import type { VvarAbi } from "../vvar/abi.js";
import { fillNamespacePage, type Offsets } from "../vvar/time-page.js";
import { checkedOffsets, type OffsetLine, printOffsets } from "./offsets.js";
import { Capability, type Cred, type HostClocks, type NamespacePage, type UserNamespace } from "./ports.js";

/** `CLONE_NEWTIME` of unshare(2), clone3(2) and setns(2). */
export const CLONE_NEWTIME = 0x80;

/** Largest time the kernel counts in nanoseconds (`KTIME_MAX`). */
export const KTIME_MAX = (1n << 63n) - 1n;

/** Nanoseconds of a tick of `/proc/PID/stat` (`USER_HZ` is 100). */
const NS_PER_TICK = 10_000_000n;

/** Clocks whose absolute timers are converted: those that timers can have, of those that offsets are added to. */
const TIMER_CLOCKS: ReadonlySet<ClockId> = new Set([ClockId.Monotonic, ClockId.Boottime, ClockId.BoottimeAlarm]);

/** What a snapshot has of a namespace: all but its user namespace. */
export interface TimeNamespaceState {
  readonly inode: number;
  /** Who made it and whom it counts for, a user of its user namespace. */
  readonly uid: number;
  readonly offsets: Offsets;
  readonly frozen: boolean;
}

export interface TimeNamespaceDesc extends TimeNamespaceState {
  readonly userNs: UserNamespace;
  /** null: the first namespace's, which has none. */
  readonly page: NamespacePage | null;
  readonly abi: VvarAbi;
  readonly clocks: HostClocks;
  /** Nobody refers to it any more. */
  release(): void;
}

/** A time namespace: its tasks see some clocks ahead or behind (`struct time_namespace`; `man 7 time_namespaces`). */
export class TimeNamespace {
  readonly inode: number;
  /** Who may set offsets is a matter of this one. */
  readonly userNs: UserNamespace;
  /** What its tasks see in place of the real page; null in the first namespace. */
  readonly page: NamespacePage | null;
  readonly #desc: TimeNamespaceDesc;
  #offsets: Offsets;
  #frozen: boolean;
  #refs = 1;

  constructor(desc: TimeNamespaceDesc) {
    this.#desc = desc;
    this.inode = desc.inode;
    this.userNs = desc.userNs;
    this.page = desc.page;
    this.#offsets = desc.offsets;
    this.#frozen = false;
    if (desc.frozen) this.enter();
  }

  get offsets(): Offsets {
    return this.#offsets;
  }

  /** A task has been in it, or it is the first one: its offsets stay as they are. */
  get frozen(): boolean {
    return this.#frozen;
  }

  /** References: of tasks, two of each; of descriptors and of mounts. */
  get refs(): number {
    return this.#refs;
  }

  /** Text of the links `/proc/PID/ns/time` and `time_for_children`. */
  get link(): string {
    return `time:[${this.inode}]`;
  }

  get(): this {
    this.#refs++;
    return this;
  }

  put(): void {
    if (--this.#refs === 0) this.#desc.release();
  }

  /** Goes to {@link TimeNamespaces.restore}. */
  save(): TimeNamespaceState {
    return { inode: this.inode, uid: this.#desc.uid, offsets: this.#offsets, frozen: this.#frozen };
  }

  /** A task comes in. The first one fills the page and makes offsets final. */
  enter(): void {
    if (this.#frozen) return;
    this.#frozen = true;
    if (this.page !== null) fillNamespacePage(this.page.store, this.#desc.abi, this.#offsets);
  }

  /** What a read of `/proc/PID/timens_offsets` returns. */
  readOffsets(): string {
    return printOffsets(this.#offsets);
  }

  /**
   * Sets offsets of a write that has been parsed.
   * @throws LinuxError EPERM: the opener lacks CAP_SYS_TIME; ERANGE, EINVAL: {@link checkedOffsets}; EACCES: frozen
   */
  setOffsets(opener: Cred, lines: readonly OffsetLine[]): void {
    if (!opener.capable(this.userNs, Capability.SysTime))
      throw new LinuxError("EPERM", "offsets are set with CAP_SYS_TIME in the user namespace of the time namespace");
    const { clocks } = this.#desc;
    const now = { monotonic: timespec(clocks.monotonic()), boottime: timespec(clocks.boottime()) };
    const offsets = checkedOffsets(this.#offsets, lines, now);
    if (this.#frozen) throw new LinuxError("EACCES", `${this.link} has had a task: its offsets are final`);
    this.#offsets = offsets;
  }

  /** What a clock that shows `ns` outside shows in here, nanoseconds. */
  toNamespace(clock: ClockId, ns: bigint): bigint {
    return ns + this.#offset(clock);
  }

  /**
   * When an absolute timer of a task in here expires outside, nanoseconds: at 0, which is past, if it is before what the clock began with in here, and never
   * after {@link KTIME_MAX} (`do_timens_ktime_to_host`).
   * @param t 0 to `KTIME_MAX`
   */
  toHost(clock: ClockId, t: bigint): bigint {
    if (!TIMER_CLOCKS.has(clock)) return t;
    const host = t - this.#offset(clock);
    if (host < 0n) return 0n;
    return host > KTIME_MAX ? KTIME_MAX : host;
  }

  /** First field of `/proc/uptime` and `sysinfo(2)` as a reader in here sees it, of the host's. The second field has no offset. */
  uptime(boottime: Timespec): Timespec {
    return timespec(nanoseconds(boottime) + nanoseconds(this.#offsets.boottime));
  }

  /** Seconds of the line `btime` of `/proc/stat` as a reader in here sees them. @param boot when the host was booted, by CLOCK_REALTIME */
  btime(boot: Timespec): number {
    return timespec(nanoseconds(boot) - nanoseconds(this.#offsets.boottime)).sec;
  }

  /**
   * Field 22 of `/proc/PID/stat` as a reader in here sees it, ticks of 10 ms. What began before this namespace's clock did began at a very large number, as
   * in the kernel.
   * @param startBoottime when the task began, CLOCK_BOOTTIME of the host, nanoseconds
   */
  starttime(startBoottime: bigint): bigint {
    return BigInt.asUintN(64, startBoottime + nanoseconds(this.#offsets.boottime)) / NS_PER_TICK;
  }

  #offset(clock: ClockId): bigint {
    const which = OFFSET_OF[clock];
    return which === undefined ? 0n : nanoseconds(this.#offsets[which]);
  }
}
