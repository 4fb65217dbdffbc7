/** How much a tool can ask of one machine; beyond it the protocol's answer is ENOMEM. The README of @vm/kvmi lists them. */
export const LIMITS = {
  /** Pages with restricted access, over all views: 1 GiB of memory. Some 150 bytes of the host each. */
  restrictedPages: 1 << 18,
  /** Code breakpoints, over all vCPUs. */
  codeBreakpoints: 1 << 16,
  /** Frames that CHANGE_GFN has changed, over all views. */
  changedFrames: 1 << 12,
  /** Frames of ALLOC_GFN. */
  allocatedFrames: 1 << 10,
  /** Views beside the default one: as many as VMX can switch between (SDM vol. 3, 26.5.6.3). Each in use has page tables of its own. */
  views: 511,
} as const;
