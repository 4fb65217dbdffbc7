import type { UserNamespace } from "./ports.js";

/**
 * How many time namespaces each user of each user namespace has (`kernel/ucount.c`). One counts for its user, for whoever made the user's namespace, and so on
 * up to the first one.
 */
export class Ucounts {
  readonly #counts = new Map<UserNamespace, Map<number, number>>();

  /** Counts one more. Returns false, and has counted nothing, if that is more than a `maxTimeNamespaces` on the way allows. */
  inc(userNs: UserNamespace, uid: number): boolean {
    const counted: [UserNamespace, number][] = [];
    for (const [ns, user] of up(userNs, uid)) {
      if (this.#of(ns, user) >= ns.maxTimeNamespaces) {
        for (const entry of counted) this.#add(...entry, -1);
        return false;
      }
      this.#add(ns, user, 1);
      counted.push([ns, user]);
    }
    return true;
  }

  /** Undoes an `inc`. */
  dec(userNs: UserNamespace, uid: number): void {
    for (const [ns, user] of up(userNs, uid)) this.#add(ns, user, -1);
  }

  #of(ns: UserNamespace, uid: number): number {
    return this.#counts.get(ns)?.get(uid) ?? 0;
  }

  #add(ns: UserNamespace, uid: number, by: number): void {
    const users = this.#counts.get(ns) ?? new Map<number, number>();
    const count = this.#of(ns, uid) + by;
    if (count === 0) users.delete(uid);
    else users.set(uid, count);
    if (users.size === 0) this.#counts.delete(ns);
    else this.#counts.set(ns, users);
  }
}

/** A user, and in each parent who made the namespace below. */
function* up(userNs: UserNamespace, uid: number): Generator<[UserNamespace, number]> {
  let user = uid;
  for (let ns: UserNamespace | null = userNs; ns !== null; ns = ns.parent) {
    yield [ns, user];
    user = ns.owner;
  }
}
