// What our sources use of every JavaScript host and what neither TypeScript's ES libraries nor Node's types declare. The sources are compiled without
// `lib: DOM`, so that nothing of a page slips in where Node has to run it.

declare namespace WebAssembly {
  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(delta: number): number;
  }
  const Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => Memory;

  interface Table {
    readonly length: number;
    get(index: number): unknown;
    grow(delta: number, value?: unknown): number;
    set(index: number, value?: unknown): void;
  }
  const Table: new (descriptor: { element: "anyfunc" | "externref"; initial: number; maximum?: number }) => Table;

  type ValueType = "i32" | "i64" | "f32" | "f64" | "v128" | "anyfunc" | "externref";
  interface Global<T extends ValueType = ValueType> {
    // biome-ignore lint/suspicious/noExplicitAny: a number or a bigint by T, as in TypeScript's own declaration
    value: any;
    valueOf(): T extends "i64" ? bigint : number;
  }
  const Global: new <T extends ValueType>(descriptor: { value: T; mutable?: boolean }, value?: unknown) => Global<T>;

  type Kind = "function" | "global" | "memory" | "table";
  interface Module {
    readonly [Symbol.toStringTag]: string;
  }
  const Module: {
    new (bytes: ArrayBufferView | ArrayBuffer): Module;
    exports(module: Module): { name: string; kind: Kind }[];
    imports(module: Module): { module: string; name: string; kind: Kind }[];
  };

  // biome-ignore lint/complexity/noBannedTypes: any function may be imported and exported, as in TypeScript's own declaration
  type Exported = Function | Global | Memory | Table;
  type Imports = Record<string, Record<string, Exported | number>>;
  interface Instance {
    readonly exports: Record<string, Exported>;
  }
  const Instance: new (module: Module, imports?: Imports) => Instance;

  interface RuntimeError extends Error {}
  const RuntimeError: new (message?: string) => RuntimeError;

  function validate(bytes: ArrayBufferView | ArrayBuffer): boolean;
  function instantiate(
    bytes: ArrayBufferView | ArrayBuffer,
    imports?: Imports,
  ): Promise<{ module: Module; instance: Instance }>;
}

declare module "worker_threads" {
  /** Node's message ports know the browser's handler as well. */
  interface MessagePort {
    onmessage: ((event: { readonly data: unknown }) => void) | null;
  }
}
