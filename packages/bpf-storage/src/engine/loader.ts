import type { Callee, Callees } from "./callees.js";
import type { Core } from "./core.js";
import type { LoadOptions } from "./engine.js";
import type { HostHelper } from "./helpers.js";
import { buildInterpreter, buildStubs, recordName } from "./interpreter.js";
import { type Code, compile, type Target } from "./jit.js";
import type { Area } from "./layout.js";
import { type Analyzed, analyze, type Program } from "./program.js";
import { RECORD_BYTES, type RecordCallee, recordsOf } from "./records.js";
import type { Slots } from "./slots.js";
import { IMPORTS, StateAccess } from "./state.js";

/** What loading needs of an engine. */
export interface LoaderParts {
  readonly area: Area;
  readonly memory: WebAssembly.Memory;
  readonly shared: boolean;
  readonly slots: Slots;
  readonly core: Core;
  readonly callees: Callees;
  readonly allocate: (bytes: number) => number;
  readonly free: (offset: number) => void;
}

/** A program whose functions are in the table. */
export interface Loaded {
  readonly entry: number;
  readonly engine: "jit" | "interpreter";
  readonly dispose: () => void;
}

/** A program before it has code. */
interface Prepared {
  readonly program: Analyzed;
  readonly callees: ReadonlyMap<number, Callee>;
  readonly target: Target;
}

const interpreters = new Map<string, WebAssembly.Module>();
const stubs = new Map<number, WebAssembly.Module>();

function stubsOf(count: number): WebAssembly.Module {
  let module = stubs.get(count);
  if (module === undefined) {
    module = new WebAssembly.Module(buildStubs(count));
    stubs.set(count, module);
  }
  return module;
}

/** `action` the first time, nothing after that. */
function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}

/** Null for what an implementation of WebAssembly refuses for its size; the engine writes no module that is wrong. */
function tooLarge(error: unknown): null {
  if (error instanceof Error && error.name === "CompileError") return null;
  throw error;
}

function moduleOf({ bytes }: Code): WebAssembly.Module | null {
  try {
    return new WebAssembly.Module(bytes);
  } catch (error) {
    return tooLarge(error);
  }
}

/** Puts programs into the table of an engine. */
export class Loader {
  readonly #parts: LoaderParts;
  readonly #state: StateAccess;
  readonly #imports: WebAssembly.Imports[string];
  readonly #hosts: HostHelper[] = [];
  readonly #hostNumbers = new Map<HostHelper, number>();
  #interpret: CallableFunction | null = null;

  constructor(parts: LoaderParts) {
    this.#parts = parts;
    this.#state = new StateAccess(parts.area);
    const { memory, core, callees } = parts;
    this.#imports = { ...core.functions, memory, indirect: callees.indirect };
  }

  load(program: Program, options: LoadOptions): Loaded {
    const prepared = this.#prepare(program, options);
    try {
      if (options.engine === "jit") {
        const code = this.#compile(prepared);
        const module = code === null ? null : moduleOf(code);
        if (code !== null && module !== null) {
          const instance = new WebAssembly.Instance(module, { [IMPORTS]: this.#importsOf(code) });
          return this.#compiled(prepared, instance);
        }
      }
      return this.#interpreted(prepared, this.#interpreter());
    } catch (error) {
      this.#parts.slots.release(prepared.target.entry, prepared.program.subprograms.length);
      throw error;
    }
  }

  async loadAsync(program: Program, options: LoadOptions): Promise<Loaded> {
    const prepared = this.#prepare(program, options);
    try {
      const code = options.engine === "jit" ? this.#compile(prepared) : null;
      if (code !== null) {
        const compiled = await WebAssembly.instantiate(code.bytes, { [IMPORTS]: this.#importsOf(code) }).catch(
          tooLarge,
        );
        if (compiled !== null) return this.#compiled(prepared, compiled.instance);
      }
      return this.#interpreted(prepared, await this.#interpreterAsync());
    } catch (error) {
      this.#parts.slots.release(prepared.target.entry, prepared.program.subprograms.length);
      throw error;
    }
  }

  #prepare(source: Program, { mode, budget }: LoadOptions): Prepared {
    const program = analyze(source);
    const callees = new Map<number, Callee>();
    program.operations.forEach((operation, pc) => {
      const insn = program.insns[pc];
      if (insn === undefined || (operation?.kind !== "helper" && operation?.kind !== "kfunc")) return;
      callees.set(pc, this.#parts.callees.resolve(pc, insn));
    });
    const entry = this.#parts.slots.take(program.subprograms.length);
    const target = { state: this.#state, mode, metered: budget !== undefined, shared: this.#parts.shared, entry };
    return { program, callees, target };
  }

  /** The code of a program; null if it is nested too deep for the stack, or for WebAssembly. */
  #compile({ program, callees, target }: Prepared): Code | null {
    try {
      return compile(program, target, callees);
    } catch (error) {
      if (error instanceof RangeError) return null;
      throw error;
    }
  }

  #importsOf({ callees }: Code): WebAssembly.Imports[string] {
    const imports = { ...this.#imports };
    const { arguments: args } = this.#parts.callees;
    for (const [name, callee] of callees) {
      if (callee.kind === "wasm") imports[name] = callee.func;
      else if (callee.kind === "host") imports[name] = (offset: number): void => args.run(callee.helper, offset >>> 0);
    }
    return imports;
  }

  #compiled({ program, target }: Prepared, { exports }: WebAssembly.Instance): Loaded {
    const { slots } = this.#parts;
    const { entry } = target;
    const count = program.subprograms.length;
    slots.put(entry, count, exports as Readonly<Record<string, CallableFunction>>);
    return { entry, engine: "jit", dispose: once(() => slots.release(entry, count)) };
  }

  #interpreted({ program, callees, target }: Prepared, interpret: CallableFunction): Loaded {
    const { memory, slots, allocate, free } = this.#parts;
    const { entry } = target;
    const recordCallees = new Map([...callees].map(([pc, callee]) => [pc, this.#recordCallee(callee)]));
    const records = recordsOf(program, { ...target, callees: recordCallees });
    const offset = allocate(records.count * RECORD_BYTES);
    records.write(memory.buffer, offset);
    const count = program.subprograms.length;
    const imports: WebAssembly.Imports[string] = { interpret };
    records.entries.forEach((index, k) => {
      imports[recordName(k)] = offset + RECORD_BYTES * index;
    });
    slots.put(
      entry,
      count,
      new WebAssembly.Instance(stubsOf(count), { [IMPORTS]: imports }).exports as Readonly<
        Record<string, CallableFunction>
      >,
    );
    const dispose = once(() => {
      slots.release(entry, count);
      free(offset);
    });
    return { entry, engine: "interpreter", dispose };
  }

  #recordCallee(callee: Callee): RecordCallee {
    if (callee.kind === "tail") return { kind: "tail", number: 0 };
    if (callee.kind === "wasm") return { kind: "wasm", number: this.#parts.slots.helper(callee.func) };
    let number = this.#hostNumbers.get(callee.helper);
    if (number === undefined) {
      number = this.#hosts.push(callee.helper) - 1;
      this.#hostNumbers.set(callee.helper, number);
    }
    return { kind: "host", number };
  }

  #interpreter(): CallableFunction {
    if (this.#interpret !== null) return this.#interpret;
    let module = interpreters.get(this.#key());
    if (module === undefined) {
      module = new WebAssembly.Module(buildInterpreter(this.#state, this.#parts.shared));
      interpreters.set(this.#key(), module);
    }
    return this.#instantiate(module);
  }

  async #interpreterAsync(): Promise<CallableFunction> {
    if (this.#interpret === null && !interpreters.has(this.#key())) {
      const bytes = buildInterpreter(this.#state, this.#parts.shared);
      const { module } = await WebAssembly.instantiate(bytes, { [IMPORTS]: this.#interpreterImports() });
      interpreters.set(this.#key(), module);
    }
    return this.#interpreter();
  }

  #key(): string {
    return `${this.#parts.area.state} ${this.#parts.shared}`;
  }

  #interpreterImports(): WebAssembly.Imports[string] {
    const { arguments: args } = this.#parts.callees;
    const host = (number: number, offset: number): void => args.run(this.#hosts[number] as HostHelper, offset >>> 0);
    return { ...this.#imports, table: this.#parts.slots.table, host };
  }

  #instantiate(module: WebAssembly.Module): CallableFunction {
    const instance = new WebAssembly.Instance(module, { [IMPORTS]: this.#interpreterImports() });
    this.#interpret = instance.exports.interpret as CallableFunction;
    return this.#interpret;
  }
}
