import { KeyState } from "../../src/module/kot.js";
import type { ModuleState } from "../../src/module/module-state.js";
import { PAGE_BYTES, PageSize, PageType } from "../../src/module/page-type.js";
import { isLeafState, isPending, SeptState } from "../../src/module/sept-state.js";
import { Lifecycle, type Td } from "../../src/module/td.js";
import { NOT_ASSOCIATED, VcpuState } from "../../src/module/td-vcpu.js";

/** What does not fit together in a module's state. */
export class InvariantError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

function assert(holds: boolean, code: string, message: string): void {
  if (!holds) throw new InvariantError(code, message);
}

interface Owned {
  readonly type: PageType;
  readonly owner: number;
  readonly size: PageSize;
}

/** Pages in use, by address. */
function usedPages(state: ModuleState): Map<number, Owned> {
  const used = new Map<number, Owned>();
  state.pamt.forEachUsed((hpa, size, type, owner) => {
    assert(!used.has(hpa), "I2", `page 0x${hpa.toString(16)} is used twice`);
    used.set(hpa, { type, owner, size });
  });
  return used;
}

/** The entries of a TD's secure EPT lead to pages that are the TD's, none twice. */
function checkTree(td: Td, used: Map<number, Owned>, seen: Set<number>): number {
  let pages = 0;
  td.sept?.forEach((gpa, entry) => {
    const { state, hpa, level } = entry;
    assert(SeptState[state] !== undefined, "states", `entry of 0x${gpa.toString(16)} is in state ${state}`);
    if (state === SeptState.Removed) return;
    const page = used.get(hpa);
    const type = isLeafState(state) ? PageType.Reg : PageType.Ept;
    const size = isLeafState(state) ? level : PageSize.Size4K;
    const fits = page?.type === type && page.owner === td.tdr && page.size === size;
    assert(fits, "I2", `0x${gpa.toString(16)} leads to 0x${hpa.toString(16)}, which is ${JSON.stringify(page)}`);
    assert(!seen.has(hpa), "I2", `page 0x${hpa.toString(16)} is mapped twice`);
    seen.add(hpa);
    assert(!isPending(state) || entry.rights === 0, "I3", `pending page at 0x${gpa.toString(16)} is accessible`);
    if (isPending(state) && level === 0)
      assert(
        (td.sept?.walk(gpa / 4096, 1) ?? 1) <= 0,
        "I3",
        `the processor finds the pending page at 0x${gpa.toString(16)}`,
      );
    pages += isLeafState(state) ? 512 ** level : 1;
  });
  return pages;
}

function checkTd(state: ModuleState, td: Td, used: Map<number, Owned>): void {
  const owned = [...used].filter(([, page]) => page.owner === td.tdr);
  const count = owned.reduce((sum, [, { size }]) => sum + 512 ** size, 0);
  assert(count === td.chldcnt, "I7", `TD 0x${td.tdr.toString(16)} has ${count} pages and counts ${td.chldcnt}`);
  const key = state.kot.entry(td.hkid)?.state;
  const expected = td.lifecycle === Lifecycle.Blocked ? KeyState.Flushed : KeyState.Assigned;
  if (td.lifecycle !== Lifecycle.Teardown) assert(key === expected, "keys", `key ${td.hkid} is ${key}`);
  const vcpus = [...td.vcpus.values()];
  const associated = vcpus.filter(({ associatedLp }) => associatedLp !== NOT_ASSOCIATED);
  assert(
    associated.length === td.numAssociatedVcpus,
    "vcpus",
    `${td.numAssociatedVcpus} vCPUs are said to be associated`,
  );
  const active = vcpus.filter((vcpu) => vcpu.state === VcpuState.Active);
  const running = td.epoch.running[0] + td.epoch.running[1];
  assert(active.length === running, "epoch", `${running} vCPUs are counted, ${active.length} run`);
  for (const vcpu of active)
    assert(
      vcpu.epoch === td.epoch.current || vcpu.epoch === td.epoch.current - 1,
      "epoch",
      `a vCPU runs in epoch ${vcpu.epoch}`,
    );
  assert(
    td.epoch.running.every((count) => count >= 0),
    "epoch",
    "a count is negative",
  );
}

/**
 * What holds whatever a host does: pages belong to one TD and are mapped once (I2), pending pages are out of the guest's reach (I3), CHLDCNT counts (I7), the host
 * is told the truth about frames (I1), keys and vCPUs are counted right.
 * @throws InvariantError
 */
export function checkModule(state: ModuleState): void {
  const used = usedPages(state);
  const seen = new Set<number>();
  for (const [tdr, td] of state.tds) {
    assert(used.get(tdr)?.type === PageType.Tdr, "states", `TDR 0x${tdr.toString(16)} is no TDR`);
    const mapped = td.lifecycle === Lifecycle.Teardown ? 0 : checkTree(td, used, seen);
    const control = td.tdcx.length + [...td.vcpus.values()].reduce((sum, { pages }) => sum + pages.length, 0);
    if (td.lifecycle !== Lifecycle.Teardown)
      assert(
        mapped + control === td.chldcnt,
        "I7",
        `${mapped} + ${control} pages can be found, ${td.chldcnt} are counted`,
      );
    checkTd(state, td, used);
  }
  for (const [hpa, { owner, type, size }] of used) {
    const td = type === PageType.Tdr ? hpa : owner;
    assert(state.tds.has(td), "states", `page 0x${hpa.toString(16)} belongs to nobody`);
    assert(
      !state.isShared(hpa) && !state.isShared(hpa + PAGE_BYTES[size] - 4096),
      "I1",
      `page 0x${hpa.toString(16)} is readable`,
    );
  }
}
