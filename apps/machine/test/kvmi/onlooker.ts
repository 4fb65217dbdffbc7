import { Errno, KvmiClient, KvmiError, type Transport, transportPair } from "@vm/kvmi";
import type { Plugin } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";

/** Its timer's deadline, and where the kernel keeps the user's GS. */
const MSRS = [0x6e0, 0xc0000102] as const;

/** A tool in this program that is asked about every write of CR3 and of some MSRs and every CPUID, and has the guest go on as if nobody had looked. */
export class Onlooker {
  /** For the machine that is looked at. */
  readonly plugin: Plugin;
  /** How many times it was asked. */
  events = 0;
  readonly #near: Transport;
  #client: Promise<KvmiClient> | null = null;
  readonly #seen = new Set<number>();

  constructor() {
    const [near, far] = transportPair();
    this.#near = near;
    this.plugin = kvmi({ open: () => far });
  }

  /** Begins to look, at processors that have been started since too if it is called again. To be called before the guest runs, or while it stands still. */
  async look(): Promise<void> {
    this.#client ??= this.#accept();
    const client = await this.#client;
    for (let vcpu = 0, count = await client.vcpuCount(); vcpu < count; vcpu++)
      if (!this.#seen.has(vcpu) && (await isStarted(client, vcpu))) {
        this.#seen.add(vcpu);
        for (const event of ["cr", "msr", "cpuid"] as const) await client.controlEvent(vcpu, event, true);
        await client.controlCr(vcpu, 3, true);
        for (const msr of MSRS) await client.controlMsr(vcpu, msr, true);
      }
  }

  async #accept(): Promise<KvmiClient> {
    const client = await KvmiClient.accept(this.#near);
    void this.#answer(client);
    return client;
  }

  async #answer(client: KvmiClient): Promise<void> {
    for await (const event of client.events) {
      this.events++;
      event.reply();
    }
  }
}

async function isStarted(client: KvmiClient, vcpu: number): Promise<boolean> {
  try {
    await client.registers(vcpu);
    return true;
  } catch (error) {
    if (error instanceof KvmiError && error.errno === Errno.EAGAIN) return false;
    throw error;
  }
}
