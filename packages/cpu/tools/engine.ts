import { type CodeCache, Jit } from "../src/index.js";

/**
 * What the tests' machines run with: regions of everything at first sight when the environment variable `VM_TEST_ENGINE` is `jit`, else the
 * interpreter alone. The same tests are run with both.
 */
export function engineOf(memory: WebAssembly.Memory, code: CodeCache): { readonly jit?: Jit } {
  if (process.env.VM_TEST_ENGINE !== "jit") return {};
  return { jit: new Jit(memory, code, { threshold: 1, again: 1, batch: 1 }) };
}
