/**
 * Copies within memory as the kernel does what may not be there (mm/maccess.c, copy_from_kernel_nofault): forward, in words of 8, 4, 2 and 1 bytes, which shows
 * where both places overlap.
 */
export function copyForward(bytes: Uint8Array, to: number, from: number, size: number): void {
  if (to <= from || to >= from + size) {
    bytes.copyWithin(to, from, from + size);
    return;
  }
  let done = 0;
  for (const word of [8, 4, 2, 1])
    for (; size - done >= word; done += word) bytes.copyWithin(to + done, from + done, from + done + word);
}
