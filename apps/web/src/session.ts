import type { Line, Start, ToPage, ToWorker } from "./protocol.js";
import { Typist } from "./typist.js";

/** What a session tells the page; see {@link ToPage}. */
export type Told = Exclude<ToPage, { readonly kind: "hungry" }>;

/** How long a machine may take to end when it is told to before its Worker is, ms. */
const END_MS = 3000;

/** One machine in a Worker of its own, from its start to its end. */
export class Session {
  readonly #worker: Worker;
  readonly #line: Line<ToWorker, ToPage>;
  readonly #tell: (told: Told) => void;
  readonly #typist: Typist;
  #phase: "starting" | "running" | "over" = "starting";
  #whenOver: () => void = () => undefined;
  readonly #over = new Promise<void>((resolve) => {
    this.#whenOver = resolve;
  });

  constructor(start: Start, tell: (told: Told) => void) {
    this.#tell = tell;
    this.#worker = new Worker(new URL("./worker/main.ts", import.meta.url), { type: "module", name: "machine" });
    this.#line = this.#worker;
    this.#typist = new Typist((bytes) => this.#send({ kind: "input", bytes }, [bytes.buffer]));
    this.#line.addEventListener("message", ({ data }) => this.#hear(data));
    this.#worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.#hear({
        kind: "failed",
        sentence: `The machine's Worker failed: ${event.message || "it could not be loaded"}.`,
      });
    });
    this.#send(start);
  }

  type(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#phase !== "over") this.#typist.type(bytes);
  }

  /** So many bytes of output are on the screen. */
  shown(count: number): void {
    this.#send({ kind: "shown", count });
  }

  resize(rows: number, columns: number): void {
    this.#send({ kind: "resize", dimensions: { rows, columns } });
  }

  pause(): void {
    this.#send({ kind: "pause" });
  }

  resume(): void {
    this.#send({ kind: "resume" });
  }

  /** Ends the machine; resolves when it has let go of its disk. One that has not begun to run, or does not answer, ends with its Worker. */
  async end(): Promise<void> {
    if (this.#phase === "starting") this.#hear({ kind: "ended", sentence: "Stopped." });
    this.#send({ kind: "stop" });
    const timer = setTimeout(
      () => this.#hear({ kind: "ended", sentence: "Stopped: the machine did not answer." }),
      END_MS,
    );
    await this.#over;
    clearTimeout(timer);
  }

  #send(message: ToWorker, transfer: Transferable[] = []): void {
    if (this.#phase !== "over") this.#line.postMessage(message, transfer);
  }

  #hear(said: ToPage): void {
    if (this.#phase === "over") return;
    if (said.kind === "hungry") {
      this.#typist.hungry();
      return;
    }
    if (said.kind === "running") this.#phase = "running";
    if (said.kind === "ended" || said.kind === "failed") {
      this.#phase = "over";
      this.#worker.terminate();
      this.#whenOver();
    }
    this.#tell(said);
  }
}
