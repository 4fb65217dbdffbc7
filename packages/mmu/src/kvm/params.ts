/** How a host behaves that has more than one way to; fixed while it runs. */
export interface KvmParams {
  /**
   * Whether private or shared is an attribute of a VM's guest frames (KVM_SET_MEMORY_ATTRIBUTES), or else of a guest_memfd's pages, which are
   * then converted in place. Linux: module parameter vm_memory_attributes.
   */
  readonly vmMemoryAttributes: boolean;
  /**
   * Whether looking up a page takes invalidate_lock, as it must where pages can be converted in place; Linux up to 7.3 gets by with the folio lock.
   * Implied by `vmMemoryAttributes: false`.
   */
  readonly inPlaceConversion: boolean;
  /** Populate as it was before Linux 7.0: the source page is looked up inside invalidate_lock. A deadlock with user faults, kept to be shown. */
  readonly gupInsideInvalidateLock: boolean;
}

export function kvmParams(options: Partial<KvmParams> = {}): KvmParams {
  const vmMemoryAttributes = options.vmMemoryAttributes ?? true;
  return {
    vmMemoryAttributes,
    inPlaceConversion: !vmMemoryAttributes || (options.inPlaceConversion ?? true),
    gupInsideInvalidateLock: options.gupInsideInvalidateLock ?? false,
  };
}
