declare module "lz4js" {
  /** Unpacks one block of `length` bytes at `src[from]` to `dst[to]`; returns the end of what was written. */
  function decompressBlock(src: Uint8Array, dst: Uint8Array, from: number, length: number, to: number): number;
  const lz4: { decompressBlock: typeof decompressBlock };
  export default lz4;
}
