/** What time namespaces need of the kernel they are part of. */
import type { PageStore } from "../vvar/store.js";
import type { TimeNamespace } from "./time-namespace.js";

/** Capabilities that are asked for, by their number (uapi `linux/capability.h`). */
export enum Capability {
  SysAdmin = 21,
  SysTime = 25,
}

/** A user namespace. Compared by identity. */
export interface UserNamespace {
  /** null: the first one. */
  readonly parent: UserNamespace | null;
  /** Who made it: a user of the parent. Anything in the first one. */
  readonly owner: number;
  /** `/proc/sys/user/max_time_namespaces` in it: how many each of its users may have, with those of user namespaces below. */
  readonly maxTimeNamespaces: number;
}

/** What somebody may do (`struct cred`). */
export interface Cred {
  readonly userNs: UserNamespace;
  readonly euid: number;
  /** Whether they have a capability in a user namespace (`ns_capable`). */
  capable(userNs: UserNamespace, capability: Capability): boolean;
}

/** The time namespaces of a task, of those of `struct nsproxy`. */
export interface NsProxy {
  /** The one it is in. */
  readonly timeNs: TimeNamespace;
  /** The one its children will be in. */
  readonly timeNsForChildren: TimeNamespace;
}

/** A task, as these rules see it. */
export interface Task {
  /** Written by these rules only. null: not yet made, or gone. */
  nsproxy: NsProxy | null;
  readonly cred: Cred;
  /** Nobody else runs in its memory, no thread and no process (`current_is_single_threaded`). */
  singleThreaded(): boolean;
  /** Forgets what the slots of its memory show that change with the namespace (`vdso_join_timens`); {@link zapOnSwitch} says which. */
  joinTimens(): void;
}

/** A page of zeros that the code of a vDSO sees as a namespace's. */
export interface NamespacePage {
  /** Its number as the host counts pages. */
  readonly pfn: number;
  readonly store: PageStore;
  /** Nobody sees it any more. */
  free(): void;
}

/** The clocks that offsets are added to, nanoseconds. */
export interface HostClocks {
  monotonic(): bigint;
  boottime(): bigint;
}

/** Inode numbers of namespaces, which all kinds of them share. */
export interface InodeNumbers {
  /** One that nothing else has now. */
  alloc(): number;
  /** This one, which nothing has: of a namespace that is restored. */
  take(inode: number): void;
  free(inode: number): void;
}
