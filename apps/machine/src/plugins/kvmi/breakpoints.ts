import type { Disposer } from "../../emitter.js";
import type { Intercepted } from "./intercepted.js";

/** INT3. */
export function onBreakpoint({ handle, undone, wants, events, ripGpa }: Intercepted): Disposer {
  return handle.on("breakpoint", () => {
    if (undone.take("breakpoint") !== null || !wants("breakpoint")) return true;
    return undone.leave("breakpoint", () =>
      undone.ask("breakpoint", (done) => events()?.breakpoint(ripGpa(), 1, done)),
    );
  });
}

/** An instruction whose address is watched. What has been reported of it already, as anything else, is not reported as this too. */
export function executeObserver({ undone, stepping, events, ripGpa }: Intercepted): () => void {
  return () => {
    if (stepping() || undone.decidedOtherThan("execute") || undone.take("execute") !== null) return;
    undone.leave("execute", () => undone.ask("execute", (done) => events()?.breakpoint(ripGpa(), 0, done)));
  };
}
