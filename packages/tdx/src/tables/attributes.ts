/** Bit 28 of a TD's ATTRIBUTES: the host cannot inject #VE by taking pages away. */
export const ATTRIBUTE_SEPT_VE_DISABLE = 1n << 28n;
