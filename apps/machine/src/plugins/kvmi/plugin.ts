import { DIALECTS, type DialectName, type EventFilter, KvmiServer, reconnect, type Transport } from "@vm/kvmi";
import type { Disposer } from "../../emitter.js";
import type { Plugin } from "../../plugin.js";
import { Linger } from "./linger.js";
import { KvmiVm } from "./vm.js";

export interface KvmiOptions {
  /** Connects to the tool; called again whenever the last connection has ended. */
  readonly open: () => Transport;
  /** Default `libkvmi`. Tools do not tell which one they speak. */
  readonly dialect?: DialectName | undefined;
  /** What the machine calls itself. Default `vm`. */
  readonly name?: string | undefined;
  /** 16 bytes. Default: random. */
  readonly uuid?: Uint8Array | undefined;
  /** `cookieHash` of the secret a tool must know. Default: anyone may. */
  readonly cookieHash?: Uint8Array | undefined;
  /** Events that need not cross the connection. Default: none. */
  readonly filter?: EventFilter | undefined;
  /** Time between two attempts to find a tool, ms. Default 100. */
  readonly retryMs?: number | undefined;
  /** Told when a tool is there and when it is gone. */
  readonly onHook?: ((hooked: boolean) => void) | undefined;
  /** Told why connections end. */
  readonly log?: ((message: string) => void) | undefined;
}

/** While a tool is there the event loop gets its turn this often, ms. */
const TURN_MS = 1;

/** KVM introspection: the machine connects to a tool that listens, and to the next one when that is gone. */
export function kvmi(options: KvmiOptions): Plugin {
  const { open, dialect = "libkvmi", name = "vm", uuid, cookieHash, filter, retryMs, onHook, log } = options;
  return {
    name: "kvmi",
    observer: true,
    install: (machine) => {
      const vm = new KvmiVm(machine);
      const linger = new Linger(machine, () => vm.busy);
      let relax: Disposer | null = null;
      const server = new KvmiServer({
        vm,
        dialect: DIALECTS[dialect],
        identity: { uuid: uuid ?? crypto.getRandomValues(new Uint8Array(16)), name, startTime: Date.now() / 1000 },
        cookieHash,
        filter,
        log,
        onCommand: () => linger.touch(),
        onReply: () => linger.end(),
        onHook: (hooked) => {
          relax?.();
          relax = hooked ? machine.attentive(TURN_MS) : null;
          if (!hooked) linger.end();
          onHook?.(hooked);
        },
      });
      const unlisten = machine.exits.on((exit, { id }) => vm.vcpus[id]?.onExit(exit));
      const disconnect = reconnect({ server, open, retryMs });
      return () => {
        disconnect();
        unlisten();
        relax?.();
      };
    },
  };
}
