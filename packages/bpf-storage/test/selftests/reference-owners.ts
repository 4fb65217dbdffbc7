import { ERRNO, type Generation, KERNEL_HIGH, type Owners } from "../../src/index.js";
import type { Objects } from "./layout.js";
import type { OwnerKind } from "./owner-kinds.js";

/** Bytes from the start of what security modules have of an inode to what is BPF's (`lbs_inode`). */
export const INODE_BLOB = { offset: 16, size: 32 } as const;
/** `__PERCPU_REF_DEAD` */
const DEAD = 2;
/** States of sockets that are no whole ones (`sk_fullsock`). */
const NOT_FULL: ReadonlySet<number> = new Set([6, 12]);
/** `net.core.optmem_max` */
const OPTMEM_MOST = { "6.1": 20480, "6.12": 131072 } as const;

/** What is looked at of a kernel. */
export interface OwnersDesc {
  readonly objects: Objects;
  readonly generation: Generation;
  /** What descriptors stand for. */
  readonly fds: ReadonlyMap<number, { readonly kind: OwnerKind; readonly object: number }>;
}

/** What storage asks of the kernel about its objects. The places of the pointers to storage are those of its structures. */
export function referenceOwners({ objects, generation, fds }: OwnersDesc): Readonly<Record<OwnerKind, Owners>> {
  const fromFd = (kind: OwnerKind, cell: Owners["cell"]) => (fd: number) => {
    const found = fds.get(fd);
    if (found === undefined) return -ERRNO.EBADF;
    if (found.kind !== kind) return kind === "sockets" ? -ERRNO.ENOTSOCK : -ERRNO.EBADF;
    return refused(kind, found.object) || cell(found.object, KERNEL_HIGH);
  };
  /** A task that has been reaped is found by nobody. */
  const refused = (kind: OwnerKind, object: number): number =>
    kind === "tasks" && objects.get(object, "task_struct.usage.refs.counter") === 0 ? -ERRNO.ENOENT : 0;
  const field = (path: string): Required<Pick<Owners, "cell" | "cellOffset" | "wide">> => {
    const offset = objects.offset(path);
    return { cell: (low, high) => (high === KERNEL_HIGH ? low + offset : 0), cellOffset: offset, wide: true };
  };

  const task = field("task_struct.bpf_storage");
  const blob = (low: number, high: number): number => {
    const at = high === KERNEL_HIGH ? objects.follow(low, "inode.i_security") : 0;
    return at === 0 ? 0 : at + INODE_BLOB.offset;
  };
  const sockAt = objects.offset("sock.sk_bpf_storage");
  const sock = (low: number, high: number): number =>
    high !== KERNEL_HIGH || NOT_FULL.has(objects.get(low, "sock.__sk_common.skc_state")) ? 0 : low + sockAt;
  const charged = (cell: number, bytes: number): boolean => {
    const path = "sock.sk_omem_alloc.counter";
    const sum = objects.get(cell - sockAt, path) + bytes;
    if (bytes > 0 && sum >= OPTMEM_MOST[generation]) return false;
    objects.set(cell - sockAt, path, sum);
    return true;
  };
  const owners = {
    tasks: {
      ...task,
      live: (cell: number) => objects.get(cell - task.cellOffset, "task_struct.usage.refs.counter") !== 0,
      fromFd: fromFd("tasks", task.cell),
    },
    inodes: { ...{ cell: blob, wide: true, live: () => true }, fromFd: fromFd("inodes", blob) },
    sockets: {
      ...{ cell: sock, wide: true },
      live: (cell: number) => objects.get(cell - sockAt, "sock.__sk_common.skc_refcnt.refs.counter") !== 0,
      fromFd: fromFd("sockets", sock),
      charge: charged,
      uncharge: (cell: number, bytes: number) => void charged(cell, -bytes),
    },
  };
  if (generation === "6.1") return { ...owners, cgroups: NO_OWNERS };
  const cgroup = field("cgroup.bpf_cgrp_storage");
  const live = (cell: number): boolean =>
    (objects.get(cell - cgroup.cellOffset, "cgroup.self.refcnt.percpu_count_ptr") & DEAD) === 0;
  return { ...owners, cgroups: { ...cgroup, live, fromFd: fromFd("cgroups", cgroup.cell) } };
}

/** Of a kind that the generation does not have. */
const NO_OWNERS: Owners = { cell: () => 0, live: () => false, fromFd: () => -ERRNO.EBADF };
