import { MachineError } from "./error.js";
import type { VirtualMachine } from "./virtual-machine.js";

/**
 * Does `work` while the guest stands still, once its processors have retired `at` instructions; starts the machine if nobody has.
 * @throws {MachineError} `state` if it has ended, or ends before; what `work` throws
 */
export async function whileStill<T>(machine: VirtualMachine, at: number, work: () => Promise<T>): Promise<T> {
  if (machine.ended !== null) throw new MachineError("state", "the machine has ended: there is nothing to save");
  let forget = (): void => undefined;
  const done = new Promise<T>((resolve, reject) => {
    machine.stopAt(at, () => work().then(resolve, reject));
    forget = machine.events.on("end", ({ reason }) =>
      reject(new MachineError("state", `the machine has ended (${reason}) before it could be saved`)),
    );
  });
  void machine.run();
  return done.finally(forget);
}
