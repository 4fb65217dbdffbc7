/**
 * WebAssembly as text, or a sentence that says why there is none: npm's `wabt` is an optional dependency, of 5 MB.
 * @param bytes a module
 */
export async function wasmText(bytes: Uint8Array): Promise<string> {
  let load: typeof import("wabt");
  try {
    ({ default: load } = await import("wabt"));
  } catch {
    return ";; WebAssembly text needs npm's wabt, which is not installed\n";
  }
  const module = (await load()).readWasm(bytes, {});
  try {
    return module.toText({ foldExprs: true });
  } finally {
    module.destroy();
  }
}
