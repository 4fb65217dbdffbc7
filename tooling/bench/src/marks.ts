/** One program's run as its output tells it: checksum, and CPU seconds between its two marks. */
export interface Span {
  readonly checksum: string;
  readonly seconds: number;
}

/** Collects `B name` / `E name checksum` lines and the times they came at. */
export class Marks {
  readonly spans = new Map<string, Span>();
  private began: { name: string; at: number } | undefined;

  /** Takes a line and the CPU seconds used by then; other lines are passed over. */
  readonly line = (text: string, cpuSeconds: number): void => {
    const [mark, name, checksum] = text.trim().split(" ");
    if (mark === "B" && name !== undefined) this.began = { name, at: cpuSeconds };
    if (mark === "E" && name !== undefined && checksum !== undefined && this.began?.name === name)
      this.spans.set(name, { checksum, seconds: cpuSeconds - this.began.at });
  };
}
