/**
 * States of a secure EPT entry by their encoding in the entry: bit 0 is D, bits 4:1 are TDP, TDB, TDBW and TDEX, bit 5 is IPAT, bit 6 is PS.
 * Source: TDX module base architecture specification, "Secure EPT Entry".
 */
export enum SeptState {
  Free = 0x0e,
  Removed = 0x0c,
  NlMapped = 0x00,
  NlBlocked = 0x08,
  Mapped = 0x60,
  Blocked = 0x68,
  BlockedW = 0x64,
  ExportedBlockedW = 0x66,
  ExportedDirty = 0x63,
  ExportedDirtyBlockedW = 0x67,
  Pending = 0x70,
  PendingBlocked = 0x78,
  PendingBlockedW = 0x74,
  PendingExportedBlockedW = 0x76,
  PendingExportedDirty = 0x73,
  PendingExportedDirtyBlockedW = 0x77,
}

const PUBLIC = new Map<SeptState, number>([
  [SeptState.Free, 0],
  [SeptState.Blocked, 1],
  [SeptState.Pending, 2],
  [SeptState.PendingBlocked, 3],
  [SeptState.Mapped, 4],
  [SeptState.Removed, 5],
  [SeptState.BlockedW, 8],
  [SeptState.ExportedBlockedW, 9],
  [SeptState.ExportedDirty, 11],
  [SeptState.ExportedDirtyBlockedW, 12],
  [SeptState.PendingBlockedW, 16],
  [SeptState.PendingExportedBlockedW, 17],
  [SeptState.PendingExportedDirty, 19],
  [SeptState.PendingExportedDirtyBlockedW, 20],
  [SeptState.NlBlocked, 129],
  [SeptState.NlMapped, 132],
]);

/** What hosts and guests are told the state is. */
export function publicState(state: SeptState): number {
  return PUBLIC.get(state) ?? 0;
}

/** Whether an entry of the state maps a page, or will. */
export function isLeafState(state: SeptState): boolean {
  return (state & 0x40) !== 0;
}

/** Whether the guest may accept the page. */
export function isAcceptable(state: SeptState): boolean {
  return state === SeptState.Pending || state === SeptState.PendingExportedDirty;
}

/** Whether the host has blocked the entry, for removal or a change. */
export function isBlocked(state: SeptState): boolean {
  return state === SeptState.Blocked || state === SeptState.PendingBlocked || state === SeptState.NlBlocked;
}

/** Pending, blocked or not. */
export function isPending(state: SeptState): boolean {
  return isLeafState(state) && (state & 0x10) !== 0;
}

/** Whether a processor may have a translation by an entry of the state, so that tracking is needed before the page may go. */
export function needsTracking(state: SeptState): boolean {
  return (
    state !== SeptState.Free &&
    state !== SeptState.Removed &&
    state !== SeptState.ExportedBlockedW &&
    state !== SeptState.PendingExportedBlockedW
  );
}
