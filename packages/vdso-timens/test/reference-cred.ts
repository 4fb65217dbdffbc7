/** User namespaces and capabilities of the reference host. */
import { Capability, type Cred, type UserNamespace } from "../src/index.js";

export class HostUserNs implements UserNamespace {
  maxTimeNamespaces = 96_365;
  constructor(
    readonly parent: HostUserNs | null,
    readonly owner: number,
  ) {}
}

export class HostCred implements Cred {
  constructor(
    readonly userNs: HostUserNs,
    readonly euid: number,
    readonly capabilities: ReadonlySet<Capability>,
  ) {}

  /** A capability in a user namespace holds in those below, and whoever made a namespace has them all in it. */
  capable(userNs: UserNamespace, capability: Capability): boolean {
    for (let ns: UserNamespace | null = userNs; ns !== null; ns = ns.parent) {
      if (ns === this.userNs) return this.capabilities.has(capability);
      if (ns.parent === this.userNs && ns.owner === this.euid) return true;
    }
    return false;
  }
}

export const ALL: ReadonlySet<Capability> = new Set([Capability.SysAdmin, Capability.SysTime]);

/** Somebody of the first user namespace without any. */
export const unprivileged = (userNs: HostUserNs): HostCred => new HostCred(userNs, 65_534, new Set());
