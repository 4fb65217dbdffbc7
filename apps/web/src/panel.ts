import { byId } from "./dom.js";
import { figures, figuresAtLength } from "./figures.js";
import type { Pulse } from "./protocol.js";

export type State = "starting" | "running" | "paused" | "ended" | "failed";

/** What can be done to the machine. */
export interface Actions {
  restart(): void;
  pause(): void;
  resume(): void;
  stop(): void;
}

/** The bar at the top: state, figures and buttons; and the line for messages below it. */
export class Panel {
  readonly #state = byId("state", HTMLParagraphElement);
  readonly #figures = byId("figures", HTMLParagraphElement);
  readonly #pause = byId("pause", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #restart = byId("restart", HTMLButtonElement);
  readonly #message = byId("message", HTMLDivElement);

  constructor(actions: Actions) {
    this.#pause.addEventListener("click", () =>
      this.#state.dataset.state === "paused" ? actions.resume() : actions.pause(),
    );
    this.#stop.addEventListener("click", () => actions.stop());
    this.#restart.addEventListener("click", () => actions.restart());
    this.#message.querySelector("button")?.addEventListener("click", () => this.clear());
  }

  /** @param sentence what is said of it; default: the state's name */
  show(state: State, sentence = NAMES[state]): void {
    const runs = state === "running" || state === "paused";
    this.#state.dataset.state = state;
    if (this.#state.textContent !== sentence) this.#state.textContent = sentence;
    this.#pause.disabled = !runs;
    this.#pause.textContent = state === "paused" ? "Resume" : "Pause";
    this.#stop.disabled = !runs && state !== "starting";
    this.#restart.textContent = isOver(state) ? "Start" : "Restart";
    this.urge(isOver(state));
    if (!runs) this.#figures.textContent = "";
  }

  /** Whether starting is what there is to do now. */
  urge(urgent: boolean): void {
    this.#restart.classList.toggle("primary", urgent);
  }

  pulse(pulse: Pulse): void {
    this.#figures.textContent = figures(pulse);
    this.#figures.title = figuresAtLength(pulse);
  }

  /** Says something until it is closed, or something else is said. */
  say(sentence: string, tone: "news" | "problem"): void {
    this.#message.dataset.tone = tone;
    const text = this.#message.querySelector("p");
    if (text !== null) text.textContent = sentence;
    this.#message.hidden = false;
  }

  clear(): void {
    this.#message.hidden = true;
  }

  /** Gives the buttons the keyboard. */
  focus(): void {
    (this.#pause.disabled ? this.#restart : this.#pause).focus();
  }

  focusRestart(): void {
    this.#restart.focus();
  }
}

const isOver = (state: State): boolean => state === "ended" || state === "failed";

const NAMES: Readonly<Record<State, string>> = {
  starting: "Starting …",
  running: "Running",
  paused: "Paused",
  ended: "Ended",
  failed: "Failed",
};
