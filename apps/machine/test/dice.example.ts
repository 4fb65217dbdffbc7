import type { MachineHandle, Plugin, VirtioDevice, VirtioHost } from "@vm/machine";

/** A virtio entropy device (virtio 1.2, 5.4) that gives numbers from 1 to 6. */
class DiceDevice implements VirtioDevice<null> {
  readonly deviceId = 4;
  readonly features = 0;
  readonly queueSizes = [8];
  readonly config = new Uint8Array(0);
  #host: VirtioHost | null = null;
  #throws = 0;

  connect(host: VirtioHost): void {
    this.#host = host;
  }

  /** One request a call: what the guest asks for is filled, and given back. */
  work(): boolean {
    const request = this.#host?.take(0);
    if (!request) return false;
    const bytes = new Uint8Array(Math.min(request.writableLength, 4096)).map(() => 1 + (this.#throws++ % 6));
    if (request.write(0, bytes)) this.#host?.give(0, request, bytes.length);
    else this.#host?.fail();
    return true;
  }

  reset(): void {}

  save(): null {
    return null;
  }

  restore(): void {}
}

/** Adds dice, which the guest finds as a source of random numbers. */
export class Dice implements Plugin {
  readonly name = "dice";

  install(machine: MachineHandle): void {
    machine.devices.attachVirtio(new DiceDevice());
  }
}
