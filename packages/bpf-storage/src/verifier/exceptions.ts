import type { Env, Subprogram } from "./env.js";

/** The function that exceptions end in, where the program names one by a tag of its own. */

const EXCEPTION = "exception_callback:";

/** Where that function starts; undefined where the program names none. */
export const exceptionStart = (env: Env): number | undefined => {
  const { programBtf: btf, funcInfo } = env.request;
  const main = funcInfo?.[0];
  if (btf === undefined || funcInfo === undefined || main === undefined) return undefined;
  const tags = (btf.parameterTags?.(main.type, -1) ?? []).filter((tag) => tag.startsWith(EXCEPTION));
  const [tag] = tags;
  if (tag === undefined) return undefined;
  if (tags.length > 1) env.fail("EEXIST", "multiple exception callback tags for main subprog");
  const name = tag.slice(EXCEPTION.length);
  const id = btf.functionByName?.(name);
  const shape = id === undefined ? undefined : btf.shape(id);
  if (shape?.kind !== "func") return env.fail("ENOENT", `exception callback '${name}' could not be found in BTF`);
  if (shape.linkage !== "global") env.fail("EINVAL", `exception callback '${name}' must have global linkage`);
  const found = funcInfo.find(({ type }) => type === id)?.insn;
  if (found === 0) env.fail("EINVAL", "invalid exception callback insn_off in func_info: 0");
  return found ?? env.fail("EINVAL", "exception callback type id not found in func_info");
};

/** Notes which subprogram it is. It is called by nothing but exceptions, and is verified on its own. */
export const noteExceptionCallback = (env: Env): void => {
  const start = exceptionStart(env);
  if (start === undefined) return;
  const index = env.subprogramAt(start);
  const subprogram = env.subprograms[index] as Subprogram;
  env.exceptionCallback = index;
  subprogram.isCallback = true;
  subprogram.isAsyncCallback = true;
};
