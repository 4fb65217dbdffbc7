/** Files `/proc/PID/ns/time` and `time_for_children` (`fs/nsfs.c`). */
import { LinuxError } from "../errors.js";
import type { Task, UserNamespace } from "./ports.js";
import { CLONE_NEWTIME, type TimeNamespace } from "./time-namespace.js";

/** The namespace that a file of a task leads to. @throws LinuxError ENOENT: the task is gone */
export function nsFile(task: Task, name: "time" | "time_for_children"): TimeNamespace {
  if (task.nsproxy === null) throw new LinuxError("ENOENT", `the task has no ${name} any more`);
  return name === "time" ? task.nsproxy.timeNs : task.nsproxy.timeNsForChildren;
}

/** Requests of ioctl(2) (uapi `linux/nsfs.h`). */
export enum NsIoctl {
  GetUserns = 0xb701,
  GetParent = 0xb702,
  GetNstype = 0xb703,
  GetOwnerUid = 0xb704,
}

/**
 * ioctl(2) on a time namespace.
 * @param caller user namespace of the caller
 * @returns `CLONE_NEWTIME` for `GetNstype`, for `GetUserns` what the new descriptor is to be of
 * @throws LinuxError EPERM: the user namespace is not the caller's or below it; EINVAL: time namespaces have no parent, only user namespaces an owner; ENOTTY
 */
export function nsIoctl(namespace: TimeNamespace, request: number, caller: UserNamespace): number | UserNamespace {
  switch (request) {
    case NsIoctl.GetNstype:
      return CLONE_NEWTIME;
    case NsIoctl.GetUserns:
      return below(namespace.userNs, caller);
    case NsIoctl.GetParent:
    case NsIoctl.GetOwnerUid:
      throw new LinuxError("EINVAL", "a time namespace has no parent, and no owner but its user namespace");
    default:
      throw new LinuxError("ENOTTY", `ioctl 0x${request.toString(16)} on a namespace`);
  }
}

function below(owner: UserNamespace, caller: UserNamespace): UserNamespace {
  for (let ns: UserNamespace | null = owner; ns !== null; ns = ns.parent) if (ns === caller) return owner;
  throw new LinuxError("EPERM", "the user namespace is not the caller's, and not below it");
}
