import type { FakeMemory } from "./fakes.js";

/** Bytes that arrive together. */
const CHUNK = 4096;

/** Has the memory of a driver arrive chunk by chunk, when the test says so; who touches what is not here makes the test fail. */
export class LateMemory {
  readonly #absent = new Set<number>();
  readonly #waiting: { chunks: number[]; retry: () => void }[] = [];

  /** From now on nothing of `memory` is here. */
  constructor(memory: FakeMemory) {
    for (let chunk = 0; chunk < memory.bytes.length / CHUNK; chunk++) this.#absent.add(chunk);
    const [read, write] = [memory.read.bind(memory), memory.write.bind(memory)];
    memory.read = (gpa, dst) => this.#checked(gpa, dst.length) && read(gpa, dst);
    memory.write = (gpa, src) => this.#checked(gpa, src.length) && write(gpa, src);
    Object.assign(memory, {
      ready: (gpa: number, size: number, retry: () => void): boolean => {
        const chunks = this.#missing(gpa, size);
        if (chunks.length > 0) this.#waiting.push({ chunks, retry });
        return chunks.length === 0;
      },
    });
  }

  /** Chunks that somebody waits for. */
  get wanted(): readonly number[] {
    return [...new Set(this.#waiting.flatMap(({ chunks }) => chunks))].filter((chunk) => this.#absent.has(chunk));
  }

  arrive(chunk: number): void {
    this.#absent.delete(chunk);
    for (const waiting of [...this.#waiting]) {
      if (waiting.chunks.some((other) => this.#absent.has(other))) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      waiting.retry();
    }
  }

  #missing(gpa: number, size: number): number[] {
    return [...this.#absent].filter((chunk) => gpa < (chunk + 1) * CHUNK && gpa + size > chunk * CHUNK);
  }

  #checked(gpa: number, size: number): true {
    if (this.#missing(gpa, size).length > 0) throw new Error(`${size} bytes at ${gpa} have not arrived`);
    return true;
  }
}
