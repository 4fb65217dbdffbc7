// Runs before the page: chooses what boots there, and marks what its Worker and its guest come to, in the trace and, by the driver's binding
// `benchHeard`, for the benchmark. `benchWatch` says what to wait for; the benchmark sets it.
localStorage.setItem("vm settings", JSON.stringify(benchWatch.settings));

/** As much of the guest's last output as is looked at. */
const TAIL = 100;
const decoder = new TextDecoder();
let tail = "";
let name = "prompt";
let wanted = new RegExp(benchWatch.prompt, "u");

const mark = (text) => {
  performance.mark(`bench ${text}`);
  benchHeard(text);
};

/** Marks `text` once the guest's last output matches `pattern`. */
globalThis.benchAwait = (text, pattern) => {
  tail = "";
  name = text;
  wanted = new RegExp(pattern, "u");
};

globalThis.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    mark("worker");
    this.addEventListener("message", ({ data }) => {
      if (data.kind === "running" || data.kind === "failed") mark(data.kind);
      if (data.kind !== "output" || wanted === null) return;
      tail = (tail + decoder.decode(data.bytes, { stream: true })).slice(-TAIL);
      if (!wanted.test(tail)) return;
      wanted = null;
      mark(name);
    });
  }
};
