/** What Node offers besides the standard, as far as it is used here. */
interface NodeProcess {
  readonly execArgv?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly versions?: Readonly<Record<string, string | undefined>>;
  readonly getBuiltinModule?: (name: "node:v8") => { setFlagsFromString(flags: string): void } | undefined;
}

const FLAG = "--wasm-tiering-budget";
/** Bytes of machine code of a function that V8 runs before it compiles the function once more, optimised: of a small region, and of a wide one. */
const NEAR = 600_000_000;
const WIDE = 100_000_000;
/** What V8 does of itself, by major version: 11 is Node 20's, 12 Node 22's. */
const USUAL: ReadonlyMap<string, number> = new Map([
  ["11", 1_800_000],
  ["12", 13_000_000],
  ["13", 13_000_000],
]);

/**
 * Compiles a module of many functions that are run rarely. V8 takes about a millisecond of execution for a sign that a function is worth its
 * optimising compiler, which needs ten times as long on another thread; for generated code that is too early by far. In Node the sign
 * can be asked for later, by a flag that holds for modules made while it is set. Elsewhere, or where the flag was given by the user, the
 * module is compiled as usual.
 */
export function compilePatiently(bytes: Uint8Array<ArrayBuffer>, wide: boolean): WebAssembly.Module {
  const usual = budget();
  if (usual === null) return new WebAssembly.Module(bytes);
  usual.set(wide ? WIDE : NEAR);
  try {
    return new WebAssembly.Module(bytes);
  } finally {
    usual.set(usual.value);
  }
}

interface Budget {
  readonly value: number;
  readonly set: (value: number) => void;
}

let known: Budget | null | undefined;

/** The flag as it can be set, null if it cannot. */
function budget(): Budget | null {
  if (known === undefined) known = findBudget((globalThis as { process?: NodeProcess }).process);
  return known;
}

function findBudget(process: NodeProcess | undefined): Budget | null {
  const v8 = process?.getBuiltinModule?.("node:v8");
  const value = USUAL.get(process?.versions?.v8?.split(".")[0] ?? "");
  const given = [...(process?.execArgv ?? []), process?.env?.NODE_OPTIONS ?? ""].join(" ").replaceAll("_", "-");
  if (v8 === undefined || value === undefined || given.includes("wasm-tiering-budget")) return null;
  return { value, set: (bytes) => v8.setFlagsFromString(`${FLAG}=${bytes}`) };
}
