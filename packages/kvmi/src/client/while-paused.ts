import type { KvmiClient } from "./client.js";

/**
 * Has all vCPUs stand still while `work` looks at the guest, then lets them go on. Other events may be enabled and be waited for meanwhile: whoever reads
 * them gets them as always. Safe while events wait for their reply: their vCPUs stand still already.
 *
 * @returns what `work` does
 * @throws {DisconnectedError} if the machine goes
 * @example const list = await whilePaused(client, () => processes(kernel, new GuestReader(client)));
 */
export async function whilePaused<T>(client: KvmiClient, work: () => T | Promise<T>): Promise<T> {
  const releases: (() => void)[] = [];
  try {
    for (let vcpu = 0, count = await client.vcpuCount(); vcpu < count; vcpu++)
      releases.push(await client.standStill(vcpu));
    return await work();
  } finally {
    for (const release of releases) release();
  }
}
