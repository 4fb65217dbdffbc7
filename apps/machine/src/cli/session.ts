import type { Machine, MachineExit } from "../index.js";

/** What the program does with the guest's console while the machine runs. */
export interface Session {
  /** The words for the kernel command line, made of the user's. */
  words(own: string): string;
  /** The initial ram disk to boot with, made of the user's. */
  initrd?(own: Uint8Array | undefined): Uint8Array | undefined;
  /** Takes the machine's console, and what else it needs; resolves when the machine can run. */
  attach(machine: Machine): void | Promise<void>;
  /**
   * Has `act` done once the guest is ready for what its user wants, and lets it go on when that is done. To be called before {@link attach}. Absent: that cannot be told.
   */
  whenReady?(act: () => Promise<void>): void;
  /** Takes a Ctrl-C from outside for itself. False: the program is to end. */
  interrupt?(): boolean;
  /** Puts the terminal back. Safe at any time, also twice. */
  restore?(): void;
  /** Lets go of the terminal; resolves when what was held back has been passed on. */
  detach(): void | Promise<void>;
  /** Status of the guest's command; null if it never told, or if there is no command. */
  status(exit: MachineExit): number | null;
  /** Why there is no status, as far as is known: half a sentence. */
  why?(): string | null;
}
