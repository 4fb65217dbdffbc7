import type { MapHolders } from "./inner-map.js";
import type { BpfMap } from "./map.js";

/** By how many each map is held: who made it, and the maps that it is in. */
export class MapReferences implements MapHolders {
  readonly #counts = new Map<BpfMap, number>();

  /** @param last told a map that nobody holds any more */
  constructor(readonly last: (map: BpfMap) => void) {}

  hold(map: BpfMap): void {
    this.#counts.set(map, (this.#counts.get(map) ?? 0) + 1);
  }

  /** A map that nobody holds is left alone. */
  drop(map: BpfMap): void {
    const count = this.#counts.get(map);
    if (count === undefined) return;
    if (count > 1) this.#counts.set(map, count - 1);
    else {
      this.#counts.delete(map);
      this.last(map);
    }
  }
}
