/**
 * Units of addresses, which a plain number is good for and which are not good for one another: {@link Gpa} where {@link Gfn} is wanted does not
 * compile. Linear addresses are bigints.
 */

/** A guest-physical address, in bytes, below 2^52. */
export type Gpa = number & { readonly unit?: "gpa" };

/** A guest frame number: a guest-physical address in pages of 4 KiB. */
export type Gfn = number & { readonly unit?: "gfn" };
