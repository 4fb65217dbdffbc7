import type { Machine } from "@vm/machine";
import type { Line, Start, ToPage, ToWorker } from "../protocol.js";
import { type Booted, boot } from "./boot.js";
import { ending } from "./ending.js";
import { sentence } from "./errors.js";
import { Meter } from "./meter.js";
import { Output } from "./output.js";
import { followWindow } from "./window.js";

const PULSE_MS = 1000;

/** Runs the one machine that is asked for over `line`. */
export function serve(line: Line<ToPage, ToWorker>): void {
  const say = (message: ToPage, transfer: Transferable[] = []): void => line.postMessage(message, transfer);
  const later: ToWorker[] = [];
  let handle: ((message: ToWorker) => void) | null = null;
  line.addEventListener("message", ({ data }) => {
    if (data.kind === "start")
      void run(data, say, (running) => {
        handle = running;
        for (const message of later.splice(0)) running(message);
      });
    else if (handle === null) later.push(data);
    else handle(data);
  });
}

type Say = (message: ToPage, transfer?: Transferable[]) => void;

async function run(start: Start, say: Say, listen: (handle: (message: ToWorker) => void) => void): Promise<void> {
  try {
    const booted = await boot(start, say);
    let exit: Awaited<ReturnType<Machine["run"]>>;
    try {
      exit = await attend(booted, start, say, listen);
    } finally {
      await booted.disk?.close();
    }
    say({ kind: "ended", sentence: ending(exit) });
  } catch (error) {
    say({ kind: "failed", sentence: sentence(error) });
  }
}

/** Connects a machine with the page and runs it to its end. */
async function attend(
  { machine }: Booted,
  start: Start,
  say: Say,
  listen: (handle: (message: ToWorker) => void) => void,
) {
  const output = new Output(
    (bytes) => say({ kind: "output", bytes }, [bytes.buffer]),
    () => machine.console.hold(),
  );
  machine.console.onOutput((bytes) => output.push(bytes));
  const window = followWindow(machine, start.dimensions);
  let failed = false;
  machine.events.on("disk-error", (error) => {
    // Once: a guest can make as many as it likes.
    if (!failed)
      say({ kind: "notice", sentence: sentence(`the disk failed: ${error instanceof Error ? error.message : error}`) });
    failed = true;
  });
  listen((message) => {
    switch (message.kind) {
      case "input":
        window.typed();
        machine.console.write(message.bytes);
        void machine.console.hungry().then(() => say({ kind: "hungry" }));
        break;
      case "shown":
        output.shown(message.count);
        break;
      case "resize":
        window.resize(message.dimensions);
        break;
      case "pause":
        void machine.pause().then(() => say({ kind: "paused" }));
        break;
      case "resume":
        machine.resume();
        say({ kind: "running" });
        break;
      case "stop":
        machine.stop();
        break;
      case "start":
        throw new Error("a Worker runs one machine");
    }
  });
  const meter = new Meter(performance.now());
  const pulse = setInterval(
    () => say({ kind: "pulse", pulse: meter.read(machine.stats(), performance.now()) }),
    PULSE_MS,
  );
  say({ kind: "running" });
  try {
    return await machine.run();
  } finally {
    clearInterval(pulse);
  }
}
