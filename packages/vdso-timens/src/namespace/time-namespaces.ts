import { LinuxError } from "../errors.js";
import type { VvarAbi } from "../vvar/abi.js";
import type { Offsets } from "../vvar/time-page.js";
import { Inodes } from "./inodes.js";
import type { HostClocks, InodeNumbers, NamespacePage, UserNamespace } from "./ports.js";
import { TimeNamespace, type TimeNamespaceState } from "./time-namespace.js";
import { Ucounts } from "./ucounts.js";

/** Inode of the first time namespace (`PROC_TIME_INIT_INO`). */
export const TIME_INIT_INO = 4_026_531_834;

const ZERO: Offsets = { monotonic: { sec: 0, nsec: 0 }, boottime: { sec: 0, nsec: 0 } };

export interface TimeNamespacesDesc {
  /** Layout of pages. */
  readonly abi: VvarAbi;
  readonly clocks: HostClocks;
  /** The first user namespace. */
  readonly userNs: UserNamespace;
  /** A page of zeros, or null if there is no memory. */
  allocPage(): NamespacePage | null;
  /** By default numbers of their own. */
  readonly inodes?: InodeNumbers;
}

/** All time namespaces of a kernel. */
export class TimeNamespaces {
  /** The one that the first task is in: frozen, without offsets, and there for good. */
  readonly root: TimeNamespace;
  readonly #desc: TimeNamespacesDesc;
  readonly #inodes: InodeNumbers;
  readonly #ucounts = new Ucounts();

  constructor(desc: TimeNamespacesDesc) {
    this.#desc = desc;
    this.#inodes = desc.inodes ?? new Inodes();
    const { abi, clocks, userNs } = desc;
    const state = { inode: TIME_INIT_INO, uid: 0, offsets: ZERO, frozen: true };
    this.root = new TimeNamespace({ ...state, userNs, page: null, abi, clocks, release: () => {} });
  }

  /**
   * A namespace with the offsets of `old`, and one reference (`clone_time_ns`).
   * @param uid who makes it, a user of `userNs`, which owns it
   * @throws LinuxError ENOSPC: more than `max_time_namespaces` of `userNs` or one above; ENOMEM
   */
  create(userNs: UserNamespace, uid: number, old: TimeNamespace): TimeNamespace {
    return this.#make(userNs, { inode: this.#inodes.alloc(), uid, offsets: old.offsets, frozen: false });
  }

  /** A namespace that was saved, with one reference. @throws LinuxError ENOSPC, ENOMEM; VdsoError if something has its inode */
  restore(userNs: UserNamespace, state: TimeNamespaceState): TimeNamespace {
    this.#inodes.take(state.inode);
    return this.#make(userNs, state);
  }

  #make(userNs: UserNamespace, state: TimeNamespaceState): TimeNamespace {
    const { inode, uid } = state;
    const counted = this.#ucounts.inc(userNs, uid);
    const page = counted ? this.#desc.allocPage() : null;
    const release = (): void => {
      page?.free();
      if (counted) this.#ucounts.dec(userNs, uid);
      this.#inodes.free(inode);
    };
    if (page === null) {
      release();
      if (counted) throw new LinuxError("ENOMEM", "no page for a time namespace");
      throw new LinuxError("ENOSPC", `user ${uid} has as many as /proc/sys/user/max_time_namespaces allows`);
    }
    const { abi, clocks } = this.#desc;
    return new TimeNamespace({ ...state, userNs, page, abi, clocks, release });
  }
}
