import { between, type CpuSpan, type ThreadTimes } from "./threads.js";

/** One program's run as its output tells it: what it computed, and the CPU time between its two marks. */
export interface Span extends CpuSpan {
  readonly checksum: string;
}

/** Collects `B name` / `E name checksum` lines and the times they came at. */
export class Marks {
  readonly spans = new Map<string, Span>();
  private began: { name: string; at: ThreadTimes } | undefined;

  /** Takes a line and what the threads had used by then; other lines are passed over. */
  readonly line = (text: string, used: ThreadTimes): void => {
    const [mark, name, checksum] = text.trim().split(" ");
    if (mark === "B" && name !== undefined) this.began = { name, at: used };
    if (mark === "E" && name !== undefined && checksum !== undefined && this.began?.name === name)
      this.spans.set(name, { checksum, ...between(this.began.at, used) });
  };
}
