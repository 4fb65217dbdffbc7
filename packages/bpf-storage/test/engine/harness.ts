import { Engine, type EngineOptions, LOWEST_OBJECT, type LoadOptions } from "../../src/engine/engine.js";

/** An engine with a memory of its own, for tests. */
export interface Bench {
  readonly engine: Engine;
  readonly memory: WebAssembly.Memory;
  /** Offset of 4096 bytes for the test; checked programs may access them. */
  readonly window: number;
  readonly view: () => DataView;
}

export const ENGINES: readonly LoadOptions["engine"][] = ["jit", "interpreter"];

export function bench(options: Partial<EngineOptions> = {}): Bench {
  const memory = new WebAssembly.Memory({ initial: 8 });
  let next = LOWEST_OBJECT;
  const allocate = (bytes: number): number => {
    const at = next;
    next = (next + bytes + 15) & ~15;
    const missing = next - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return at;
  };
  // What was allocated last is freed first.
  const free = (offset: number): void => {
    next = offset;
  };
  const engine = new Engine({ memory, allocate, free, ...options });
  // Not beside the engine's stack.
  allocate(1024);
  const window = allocate(4096);
  engine.setWindow(0, window, window + 4096);
  return { engine, memory, window, view: () => new DataView(memory.buffer) };
}
