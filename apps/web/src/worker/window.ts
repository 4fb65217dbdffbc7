import { type Machine, WindowSize } from "@vm/machine";
import type { Dimensions } from "../protocol.js";

/** Keeps the size of the guest's console that of the terminal on the page. */
export function followWindow(machine: Machine, dimensions: Dimensions) {
  let size = dimensions;
  const window = new WindowSize(
    (bytes) => machine.auxiliary.send(bytes),
    () => size,
    () => performance.now(),
  );
  machine.auxiliary.listen((byte) => window.push(byte));
  return {
    typed: () => window.typed(),
    resize: (dimensions: Dimensions) => {
      size = dimensions;
      window.tell();
    },
  };
}
