import { Bytes } from "./bytes.js";
import { FunctionBuilder } from "./function.js";
import { type Func, type FuncType, VAL_TYPE, type ValType, WasmBuildError } from "./types.js";

interface Import {
  readonly module: string;
  readonly name: string;
  readonly write: (out: Bytes) => void;
}

/** Size limits in units of 64 KiB pages (memories) or elements (tables). */
export interface Limits {
  readonly min: number;
  readonly max?: number;
}

/**
 * A module in the order of the binary format (core spec 5.5). Imports come before definitions: `importFunction` after the first
 * `function` throws, because it would renumber what was handed out. Equal calls give equal bytes.
 */
export class ModuleBuilder {
  readonly #types: { params: readonly ValType[]; result: ValType | null }[] = [];
  readonly #typeIndex = new Map<string, number>();
  readonly #imports: Import[] = [];
  readonly #functions: FunctionBuilder[] = [];
  readonly #exports: { name: string; kind: number; index: number }[] = [];
  readonly #tables: Limits[] = [];
  readonly #memories: Limits[] = [];
  readonly #globals: { type: "i32" | "i64"; mutable: boolean; value: number }[] = [];
  readonly #elements: { table: number; offset: number; funcs: readonly Func[] }[] = [];
  readonly #data: { offset: number; bytes: Uint8Array }[] = [];
  #importedFunctions = 0;
  #importedTables = 0;
  #importedGlobals = 0;

  type(params: readonly ValType[], result: ValType | null): FuncType {
    const key = `${params.join()}>${result ?? ""}`;
    let index = this.#typeIndex.get(key);
    if (index === undefined) {
      index = this.#types.push({ params, result }) - 1;
      this.#typeIndex.set(key, index);
    }
    return { index, params, result };
  }

  importFunction(module: string, name: string, params: readonly ValType[], result: ValType | null): Func {
    if (this.#functions.length > 0)
      throw new WasmBuildError("import-order", `import ${module}.${name} after the first defined function`);
    const type = this.type(params, result);
    this.#imports.push({
      module,
      name,
      write: (out) => {
        out.u8(0);
        out.u32(type.index);
      },
    });
    return { index: this.#importedFunctions++, params, result };
  }

  importMemory(module: string, name: string, limits: Limits, shared = false): void {
    this.#imports.push({
      module,
      name,
      write: (out) => {
        out.u8(2);
        writeLimits(out, limits, shared);
      },
    });
  }

  importTable(module: string, name: string, limits: Limits): number {
    if (this.#tables.length > 0)
      throw new WasmBuildError("import-order", `import ${module}.${name} after the first defined table`);
    this.#imports.push({
      module,
      name,
      write: (out) => {
        out.u8(1);
        out.u8(0x70);
        writeLimits(out, limits, false);
      },
    });
    return this.#importedTables++;
  }

  importGlobal(module: string, name: string, type: ValType, mutable: boolean): number {
    if (this.#globals.length > 0)
      throw new WasmBuildError("import-order", `import ${module}.${name} after the first defined global`);
    this.#imports.push({
      module,
      name,
      write: (out) => {
        out.u8(3);
        out.u8(VAL_TYPE[type]);
        out.u8(mutable ? 1 : 0);
      },
    });
    return this.#importedGlobals++;
  }

  memory(limits: Limits): number {
    return this.#memories.push(limits) - 1;
  }

  table(limits: Limits): number {
    return this.#importedTables + this.#tables.push(limits) - 1;
  }

  /** A global of integers that begins as `value`, a signed 32-bit number. */
  global(value: number, mutable: boolean, type: "i32" | "i64" = "i32"): number {
    return this.#importedGlobals + this.#globals.push({ type, mutable, value }) - 1;
  }

  function(params: readonly ValType[], result: ValType | null): FunctionBuilder {
    const type = this.type(params, result);
    const builder = new FunctionBuilder(this.#importedFunctions + this.#functions.length, type.index, params, result);
    this.#functions.push(builder);
    return builder;
  }

  element(table: number, offset: number, funcs: readonly Func[]): void {
    this.#elements.push({ table, offset, funcs });
  }

  data(offset: number, bytes: Uint8Array): void {
    this.#data.push({ offset, bytes });
  }

  exportFunction(name: string, func: Func): void {
    this.#exports.push({ name, kind: 0, index: func.index });
  }

  exportTable(name: string, table: number): void {
    this.#exports.push({ name, kind: 1, index: table });
  }

  exportMemory(name: string, memory = 0): void {
    this.#exports.push({ name, kind: 2, index: memory });
  }

  exportGlobal(name: string, global: number): void {
    this.#exports.push({ name, kind: 3, index: global });
  }

  /** The module in the binary format. */
  bytes(): Uint8Array<ArrayBuffer> {
    const out = new Bytes(4096);
    out.raw(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    section(out, 1, this.#types, (s, { params, result }) => {
      s.u8(0x60);
      s.u32(params.length);
      for (const p of params) s.u8(VAL_TYPE[p]);
      s.u32(result === null ? 0 : 1);
      if (result !== null) s.u8(VAL_TYPE[result]);
    });
    section(out, 2, this.#imports, (s, item) => {
      s.name(item.module);
      s.name(item.name);
      item.write(s);
    });
    section(out, 3, this.#functions, (s, f) => s.u32(f.typeIndex));
    section(out, 4, this.#tables, (s, limits) => {
      s.u8(0x70);
      writeLimits(s, limits, false);
    });
    section(out, 5, this.#memories, (s, limits) => writeLimits(s, limits, false));
    section(out, 6, this.#globals, (s, g) => {
      s.u8(VAL_TYPE[g.type]);
      s.u8(g.mutable ? 1 : 0);
      s.u8(g.type === "i32" ? 0x41 : 0x42);
      s.s32(g.value);
      s.u8(0x0b);
    });
    section(out, 7, this.#exports, (s, e) => {
      s.name(e.name);
      s.u8(e.kind);
      s.u32(e.index);
    });
    section(out, 9, this.#elements, (s, e) => {
      s.u32(e.table === 0 ? 0 : 2);
      if (e.table !== 0) s.u32(e.table);
      s.u8(0x41);
      s.s32(e.offset);
      s.u8(0x0b);
      if (e.table !== 0) s.u8(0);
      s.u32(e.funcs.length);
      for (const f of e.funcs) s.u32(f.index);
    });
    section(out, 10, this.#functions, (s, f) => f.write(s));
    section(out, 11, this.#data, (s, d) => {
      s.u8(0);
      s.u8(0x41);
      s.s32(d.offset);
      s.u8(0x0b);
      s.u32(d.bytes.length);
      s.raw(d.bytes);
    });
    return out.toUint8Array();
  }
}

function section<T>(out: Bytes, id: number, items: readonly T[], write: (out: Bytes, item: T) => void): void {
  if (items.length === 0) return;
  const body = new Bytes(1024);
  body.u32(items.length);
  for (const item of items) write(body, item);
  out.u8(id);
  out.sized(body);
}

function writeLimits(out: Bytes, { min, max }: Limits, shared: boolean): void {
  if (shared && max === undefined) throw new WasmBuildError("shared-memory", "a shared memory needs a maximum");
  out.u8((max === undefined ? 0 : 1) | (shared ? 2 : 0));
  out.u32(min);
  if (max !== undefined) out.u32(max);
}
