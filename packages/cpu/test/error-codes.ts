import type { FakeMachine } from "./fake-machine.js";
import { eventsOf, Scene } from "./scene.js";

/** A situation, and the exception with the error code that it ends in. */
export interface ErrorRow {
  readonly name: string;
  readonly source: string;
  /** As `eventsOf` writes it. */
  readonly event: string;
  /** What is delivered; the last event counts. */
  readonly play: () => readonly string[];
}

/** One instruction of 64-bit code, alone. */
export const instruction = (
  name: string,
  source: string,
  code: readonly number[],
  event: string,
  setup: (s: Scene) => void = () => undefined,
): ErrorRow => ({
  name,
  source,
  event,
  play: () => {
    const s = new Scene(code);
    s.before = [];
    setup(s);
    return s.play();
  },
});

/** A machine that is ready to go. */
export const machine = (name: string, source: string, event: string, prepare: () => FakeMachine): ErrorRow => ({
  name,
  source,
  event,
  play: () => eventsOf(prepare()),
});

export const hex = (value: number): string => value.toString(16);
