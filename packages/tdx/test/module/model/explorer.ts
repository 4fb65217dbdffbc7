/** What the next step of an actor is: to be done now, or later when it is possible. */
export interface Actor {
  readonly name: string;
  /** Whether the next step may be done; false also after the last. */
  enabled(): boolean;
  step(): void;
  readonly done: boolean;
}

/** Chooses one of `count` possibilities. */
export type Chooser = (count: number) => number;

/** All ways to choose, one after the other: replays a prefix of choices, and counts it up for the next run. */
export class Exhaustive {
  #choices: { chosen: number; of: number }[] = [];
  #at = 0;

  readonly choose: Chooser = (of) => {
    const known = this.#choices[this.#at];
    this.#at++;
    if (known !== undefined) return known.chosen;
    this.#choices.push({ chosen: 0, of });
    return 0;
  };

  /** Goes on to the next way. False: there is none left. */
  next(): boolean {
    this.#at = 0;
    for (;;) {
      const last = this.#choices.at(-1);
      if (last === undefined) return false;
      last.chosen++;
      if (last.chosen < last.of) return true;
      this.#choices.pop();
    }
  }
}

/** Steps that actors make until nobody can, or until `until` says so; a step may call this again, for what happens meanwhile. */
export function schedule(actors: readonly Actor[], choose: Chooser, until: () => boolean, trace: string[]): void {
  while (!until()) {
    const enabled = actors.filter((actor) => actor.enabled());
    if (enabled.length === 0) return;
    const actor = enabled[enabled.length === 1 ? 0 : choose(enabled.length)];
    if (actor === undefined) return;
    trace.push(actor.name);
    actor.step();
  }
}
