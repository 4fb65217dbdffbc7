/** Calls `work` when the event loop has had a turn: what has come in, timers and other work went before. In Node and in browsers. */
export const afterTurn: (work: () => void) => void =
  typeof setImmediate === "function" ? (work) => void setImmediate(work) : messageTurn();

/** Browsers clamp nested timeouts to 4 ms; a message to oneself is not clamped. */
function messageTurn(): (work: () => void) => void {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return (work) => {
    waiting.push(work);
    port2.postMessage(null);
  };
}

/** Resolves when the event loop has had a turn. */
export const turn = (): Promise<void> => new Promise(afterTurn);
