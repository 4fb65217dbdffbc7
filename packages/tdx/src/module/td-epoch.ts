import { TryLock } from "./try-lock.js";

/**
 * TLB tracking of a TD: its vCPUs run in the epoch they were entered in; a blocked page may go once no vCPU that was entered before runs any more.
 * Source: TDX module architecture specification, "TLB Tracking".
 */
export class TdEpoch {
  readonly lock = new TryLock();
  /** TD_EPOCH; 0 before MNG.INIT, which makes it 1. */
  current = 0;
  /** Running vCPUs by the lowest bit of the epoch they were entered in. */
  readonly running: [number, number] = [0, 0];

  /** Whether every vCPU that could have seen a page which was blocked in epoch `bepoch` has left since. */
  isTracked(bepoch: number): boolean {
    if (bepoch < this.current - 1) return true;
    return bepoch === this.current - 1 && this.running[(bepoch & 1) as 0 | 1] === 0;
  }

  /** The epoch a vCPU enters in. Call {@link leave} with it when the vCPU leaves. */
  enter(): number {
    this.running[(this.current & 1) as 0 | 1]++;
    return this.current;
  }

  leave(epoch: number): void {
    this.running[(epoch & 1) as 0 | 1]--;
  }

  /** Starts the next epoch. False: vCPUs still run in the one before. */
  advance(): boolean {
    if (this.running[((this.current - 1) & 1) as 0 | 1] !== 0) return false;
    this.current++;
    return true;
  }
}
