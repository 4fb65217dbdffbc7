import type { GuestProgress } from "./guests.js";

/** Where progress is shown; a terminal gets one line that is rewritten, anything else a line per step. */
export interface ProgressSink {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Shows progress as it comes; `end` clears what a terminal still shows. */
export function progressLine(sink: ProgressSink): { show(progress: GuestProgress): void; end(): void } {
  let step = "";
  return {
    show(progress) {
      if (sink.isTTY) {
        const percent = progress.percent === undefined ? "" : ` ${Math.round(progress.percent)} %`;
        sink.write(`\r\x1b[K${progress.step}${percent}`);
      } else if (progress.step !== step) sink.write(`${progress.step}\n`);
      step = progress.step;
    },
    end() {
      if (sink.isTTY && step !== "") sink.write("\r\x1b[K");
    },
  };
}
