/** Whether two strings of bytes are the same. Takes as long wherever they differ. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (const [k, byte] of a.entries()) difference |= byte ^ (b[k] ?? 0);
  return difference === 0;
}
