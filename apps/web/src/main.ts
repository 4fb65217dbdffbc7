import "@xterm/xterm/css/xterm.css";
import "./style.css";
import { byId } from "./dom.js";
import { takeDrops } from "./drop.js";
import type { FileKind } from "./file-kind.js";
import { Form } from "./form.js";
import { KeptList } from "./kept-list.js";
import { takeKeys } from "./key-row.js";
import { leaveKey } from "./leave-key.js";
import { Panel } from "./panel.js";
import { writePieces } from "./pieces.js";
import { servedGuests } from "./served-guests.js";
import { Session, type Told } from "./session.js";
import { recall, remember } from "./settings.js";
import { openTerminal } from "./terminal.js";
import { warmUp } from "./warm-up.js";
import { sentence } from "./worker/errors.js";

const WHAT: Readonly<Record<FileKind, string>> = {
  kernel: "the kernel",
  initrd: "the initial ram disk",
  image: "the disk image",
};

/** RIS: a terminal as it was at first. */
const RESET = "\x1bc";

let session: Session | null = null;
/** What the machine that runs was started with. */
let started = "";
/** Whether the machine that ends makes room for the next one. */
let restarting = false;

const panel = new Panel({
  restart: () => void restart(),
  pause: () => session?.pause(),
  resume: () => session?.resume(),
  stop: () => void session?.end(),
});
const terminal = openTerminal(byId("terminal", HTMLDivElement), byId("hint", HTMLParagraphElement), {
  typed: (bytes) => session?.type(bytes),
  resized: (rows, columns) => session?.resize(rows, columns),
});
const [served] = await Promise.all([servedGuests(location.href), warmUp(terminal)]);
const form = new Form(served, formChanged);
const kept = new KeptList((error) => panel.say(sentence(error), "problem"));

form.settings = recall();
terminal.options.screenReaderMode = form.settings.reader;
takeDrops(byId("dropping", HTMLDivElement), (files) => {
  for (const [kind, file] of files) form.take(kind, file);
  showSettings(true);
  const named = files.map(([kind, file]) => `${file.name} is ${WHAT[kind]}`);
  panel.say(
    `${named.join(", ")}. ${session === null ? "Start" : "Restart"} to use ${files.length > 1 ? "them" : "it"}.`,
    "news",
  );
  panel.focusRestart();
});

const toggle = byId("toggle", HTMLButtonElement);
toggle.addEventListener("click", () => showSettings(form.element.hidden));
form.element.addEventListener("shown", () => showSettings(true));
takeKeys((text) => {
  terminal.input(text);
  terminal.focus();
});

// Before the terminal, which keeps what it takes for itself.
const leaves = leaveKey();
for (const type of ["keydown", "keyup"] as const)
  addEventListener(
    type,
    (event) => {
      if (!leaves(event)) return;
      if (document.activeElement === terminal.textarea) panel.focus();
      else terminal.focus();
    },
    { capture: true },
  );

showSettings(matchMedia("(min-width: 64rem)").matches);
await restart();

/** Ends the machine that runs, if one does, and starts the one that the form asks for. */
async function restart(): Promise<void> {
  if (restarting) return;
  panel.clear();
  try {
    const choice = form.choice();
    restarting = true;
    await session?.end();
    started = form.mark;
    // In line with what the machine before wrote, some of which may still be on its way.
    terminal.write(RESET);
    panel.show("starting");
    if (choice.disk.kind !== "none") void navigator.storage?.persist?.();
    const { rows, cols: columns } = terminal;
    session = new Session({ ...choice, kind: "start", dimensions: { rows, columns } }, hear);
    kept.busy = choice.disk.kind !== "none";
    formChanged();
    terminal.focus();
  } catch (error) {
    panel.say(sentence(error), "problem");
  } finally {
    restarting = false;
  }
}

function hear(told: Told): void {
  switch (told.kind) {
    case "progress":
      panel.show("starting", told.sentence);
      break;
    case "running":
    case "paused":
      panel.show(told.kind);
      kept.refresh();
      break;
    case "output": {
      const { bytes } = told;
      const { length } = bytes;
      const from = session;
      writePieces(terminal, bytes, () => from?.shown(length));
      break;
    }
    case "pulse":
      panel.pulse(told.pulse);
      break;
    case "notice":
      panel.say(told.sentence, "problem");
      break;
    case "ended":
    case "failed":
      over(told.kind, told.sentence);
      break;
  }
}

function over(state: "ended" | "failed", text: string): void {
  session = null;
  kept.busy = false;
  byId("changed", HTMLParagraphElement).textContent = "";
  panel.show(state);
  if (state === "failed") panel.say(text, "problem");
  else if (!restarting) terminal.write(`\r\n\x1b[90m[${text} Start boots it again.]\x1b[0m\r\n`);
}

function formChanged(): void {
  const { settings } = form;
  remember(settings);
  terminal.options.screenReaderMode = settings.reader;
  if (session === null) return;
  const changed = form.mark !== started;
  panel.urge(changed);
  byId("changed", HTMLParagraphElement).textContent = changed ? "Restart to use what you changed." : "";
}

function showSettings(shown: boolean): void {
  form.element.hidden = !shown;
  toggle.ariaExpanded = String(shown);
}
