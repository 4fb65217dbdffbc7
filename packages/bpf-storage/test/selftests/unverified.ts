import { loadInto, openObject, prepareProgram } from "../../src/index.js";
import type { LoadedObject, LoadedProgram } from "../../src/runtime/load-object.js";
import { resolveMaps } from "../../src/runtime/pointers.js";
import { recurs } from "../../src/runtime/program.js";
import type { ReferenceKernel } from "./reference-kernel.js";

/** Programs by name, with what the verifier says against each. */
export type Refused = Readonly<Record<string, RegExp>>;

/**
 * Loads an object of which the verifier refuses some programs that its own kernel accepts: those run with every access checked instead.
 * @throws {Error} if one is not refused after all, or for another reason
 */
export function loadRefused(kernel: ReferenceKernel, bytes: Uint8Array, refused: Refused): LoadedObject {
  const { runtime, system } = kernel;
  for (const [name, reason] of Object.entries(refused)) {
    const found = refusal(() => loadInto(runtime, bytes, system, (program) => program.name === name));
    if (!reason.test(found)) throw new Error(`program ${name} is refused with "${found}", and not with ${reason}`);
  }
  const loaded = loadInto(runtime, bytes, system, ({ autoload, name }) => autoload && refused[name] === undefined);
  const context = openObject(bytes, system);
  const checked = context.object.programs.filter(({ name }) => refused[name] !== undefined);
  const programs = checked.map((from): LoadedProgram => {
    const { program, records } = prepareProgram(context, from, system);
    const insns = [...program.insns];
    resolveMaps(insns, (place) => loaded.maps.get(context.maps[place]?.name ?? ""));
    const type = from.type ?? 0;
    const made = runtime.load({
      ...{ name: from.name, type, attach: from.attach, recur: recurs(type, from.attach), insns },
      ...{ subprograms: program.subprograms.map(({ pc }) => pc), trusted: false },
    });
    return { program: made, from, relocations: records, linked: program, insns: program.insns, gpl: true };
  });
  return { ...loaded, programs: [...loaded.programs, ...programs] };
}

function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
}
