import { BpfError, ERRNO } from "../errors.js";
import { checkHash } from "./check-hash.js";
import type { HeldObject } from "./descriptors.js";
import { HashMap } from "./hash.js";
import { align8 } from "./layout.js";
import type { BpfMap, MapDesc, MapHost, Status, SystemElements } from "./map.js";

/** A hash table of pointers to maps (kernel/bpf/hashtab.c, `htab_of_maps_map_ops`). Generated code finds its elements as those of any other. */
export class HashOfMaps implements BpfMap {
  readonly system: SystemElements;
  readonly #table: HashMap;
  /** What the table holds, by the pointers that are its values, and in how many elements. */
  readonly #objects = new Map<number, { readonly object: HeldObject; elements: number }>();
  /** Room for the pointer that is put in. */
  readonly #word: number;

  /** @throws {BpfError} EINVAL, E2BIG, ENOMEM */
  constructor(
    readonly host: MapHost,
    readonly desc: MapDesc,
    readonly id: number,
    readonly objectOf: (fd: number) => HeldObject | Status,
  ) {
    checkHashOfMaps(desc);
    this.#table = new HashMap(host, desc, id, (value) => this.#drop(host.arena.u32(value)));
    this.#word = host.arena.alloc(align8(4));
    if (this.#word === 0) {
      this.#table.free();
      throw new BpfError("ENOMEM", "a hash table of maps");
    }
    this.system = { valueSize: 4, lookup: (key, value) => this.#tell(key, value) };
  }

  get address(): number {
    return this.#table.address;
  }

  /** The pointer to the map of a key, or 0. */
  lookup(key: number): number {
    const value = this.#table.lookup(key);
    return value === 0 ? 0 : this.host.arena.u32(value);
  }

  update(key: number, value: number, flags: bigint): Status {
    const { arena } = this.host;
    const object = this.objectOf(arena.u32(value) | 0);
    if (typeof object === "number") return object;
    arena.setU32(this.#word, object.word);
    // Before what was there is let go of, which may be the same.
    this.#hold(object);
    const status = this.#table.update(key, this.#word, flags);
    if (status !== 0) this.#drop(object.word);
    return status;
  }

  delete(key: number): Status {
    return this.#table.delete(key);
  }

  nextKey(key: number, next: number): Status {
    return this.#table.nextKey(key, next);
  }

  free(): void {
    this.#table.free();
    this.host.rcu.call(() => this.host.arena.free(this.#word));
  }

  #hold(object: HeldObject): void {
    object.hold();
    const held = this.#objects.get(object.word);
    if (held === undefined) this.#objects.set(object.word, { object, elements: 1 });
    else held.elements++;
  }

  #drop(word: number): void {
    const held = this.#objects.get(word);
    if (held === undefined) return;
    if (--held.elements === 0) this.#objects.delete(word);
    held.object.drop();
  }

  #tell(key: number, value: number): Status {
    const held = this.#objects.get(this.lookup(key));
    if (held === undefined) return -ERRNO.ENOENT;
    this.host.arena.setU32(value, held.object.id);
    return 0;
  }
}

/** @throws {BpfError} EINVAL, E2BIG for what is no hash table of descriptors */
export function checkHashOfMaps(desc: MapDesc): void {
  if (desc.valueSize !== 4)
    throw new BpfError(
      "EINVAL",
      `a hash table of maps with values of ${desc.valueSize} bytes: expected 4, a descriptor`,
    );
  checkHash(desc);
}
