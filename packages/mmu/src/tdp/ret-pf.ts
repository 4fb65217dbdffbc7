/** What became of a fault at the second level. Names are KVM's RET_PF_*. */
export enum RetPf {
  /** It was mapped; the access may proceed. */
  Fixed,
  /** Somebody else had mapped it already. */
  Spurious,
  /** Something is changing: let the guest try again, after a wait if it cannot be had now. */
  Retry,
  /** No memory, or a write to read-only memory: a device access. */
  Emulate,
  /** Who watches the page has to see it (RET_PF_WRITE_PROTECTED, for all kinds of accesses). */
  Tracked,
  /** Memory of the other kind, private or shared, or none can be had: a memory-fault exit. */
  MemoryFault,
}
