import { callAll, type Disposer } from "../../emitter.js";
import type { MachineHandle } from "../../plugin.js";
import type { VcpuHandle } from "../../vcpu-handle.js";

/**
 * Calls `then` when the guest's first program asks its kernel for something: the kernel has started. The guest stands still until it is done.
 * @param failed told what `then` threw; the guest goes on
 * @returns what ends the wait
 */
export function whenFirstProgramRuns(
  { vcpus }: MachineHandle,
  then: (vcpu: VcpuHandle) => Promise<void>,
  failed: (error: unknown) => void,
): Disposer {
  const observers: Disposer[] = [];
  const end = (): void => void callAll(observers.splice(0));
  for (const vcpu of vcpus)
    observers.push(
      vcpu.on("syscall", () => {
        end();
        const holds = vcpus.map(({ hold }) => hold());
        void then(vcpu)
          .catch(failed)
          .finally(() => callAll(holds));
      }),
    );
  return end;
}
