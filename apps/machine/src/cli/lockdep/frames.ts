import { captureStack, type Entry, type Stack } from "@vm/lockdep";

/** Functions of ours, and those of Linux whose part they play. */
export const ROLES: Readonly<Record<string, string>> = {
  gupFast: "gup_fast_fallback",
  populate: "kvm_gmem_populate",
  initMemRegion: "tdx_vcpu_init_mem_region",
  lockMmAndFindVma: "lock_mm_and_find_vma",
  faultUserMapping: "kvm_gmem_fault_user_mapping",
  handleMmFault: "handle_mm_fault",
  userPageFault: "do_user_addr_fault",
};

/** Name of the function in a frame of the engine's, without its class, and without the number a bundler gave it. */
const NAME = /^(?:async )?(?:[\w$]+\.)*#?([\w$]+?)\d* \(/;

/** The stack of `entry`'s caller as Linux would show it: what has no part there is left out. */
export function captureRoles(entry: Entry): Stack {
  const stack = captureStack(entry);
  const frames = stack.frames.flatMap((frame) => ROLES[NAME.exec(frame)?.[1] ?? ""] ?? []);
  return { site: frames[0] ?? stack.site, frames };
}
