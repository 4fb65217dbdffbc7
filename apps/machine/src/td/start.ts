import type { TdImage } from "@vm/tdx";
import type { Board } from "../board/board.js";

/** How a TD is started. */
export interface TdStart {
  /** Guest-physical address of the memory below 4 GiB that starts it. */
  readonly high: number;
  /** Whether firmware does, which looks for what PCs have. */
  readonly firmware: boolean;
  /**
   * What is added to a TD on `board`, and measured. Nothing can be attached to the board afterwards.
   * @throws {KernelError} if the kernel does not fit, or cannot be entered in 64-bit mode
   * @throws {BootError} if kernel, ram disk and command line do not go together
   */
  image(board: Board): TdImage;
}
