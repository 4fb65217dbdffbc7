import { DisconnectedError, type KvmiClient, type KvmiEvent } from "@vm/kvmi";
import { type GuestClock, type Line, type Source, shown } from "./lines.js";
import { hex } from "./quoted.js";

/** MSRs that are watched unless told otherwise, by the names of the SDM. */
export const MSRS: ReadonlyMap<number, string> = new Map([
  [0x174, "SYSENTER_CS"],
  [0x175, "SYSENTER_ESP"],
  [0x176, "SYSENTER_EIP"],
  [0x277, "PAT"],
  [0xc0000080, "EFER"],
  [0xc0000081, "STAR"],
  [0xc0000082, "LSTAR"],
  [0xc0000083, "CSTAR"],
  [0xc0000084, "FMASK"],
  [0xc0000100, "FS_BASE"],
  [0xc0000101, "GS_BASE"],
  [0xc0000102, "KERNEL_GS_BASE"],
]);

/** Prints events and answers them. */
export class Tracer {
  /** What knows breakpoints. */
  readonly sources: Source[] = [];
  readonly #client: KvmiClient;
  readonly #clock: GuestClock;
  readonly #most: number;
  #printed = 0;

  constructor(client: KvmiClient, clock: GuestClock, most: number) {
    this.#client = client;
    this.#clock = clock;
    this.#most = most;
  }

  /** False: the machine went, or the program is to leave, before there were enough. */
  async run(stop: AbortSignal): Promise<boolean> {
    const last = (): void => this.#print(this.sources.flatMap((source) => source.rest()));
    stop.addEventListener("abort", last);
    try {
      for await (const event of this.#client.events) {
        this.#print(await this.#lines(event));
        event.reply();
        if (this.#printed >= this.#most) return true;
      }
      return false;
    } catch (error) {
      // It has ended while something was asked about an event.
      if (error instanceof DisconnectedError && error.code === "disconnected") return false;
      throw error;
    } finally {
      stop.removeEventListener("abort", last);
      if (!stop.aborted) last();
    }
  }

  async #lines(event: KvmiEvent): Promise<readonly Line[]> {
    const text = describe(event);
    if (text !== null) return [{ time: await this.#clock.now(event.vcpu), vcpu: event.vcpu, text }];
    const lines: Line[] = [];
    for (const source of this.sources) lines.push(...(await source.take(event)));
    return lines;
  }

  #print(lines: readonly Line[]): void {
    const left = lines.slice(0, this.#most - this.#printed);
    this.#printed += left.length;
    for (const line of left) process.stdout.write(shown(line));
  }
}

/** What happens, if the event says all of it. */
function describe(event: KvmiEvent): string | null {
  switch (event.name) {
    case "cr":
      return `cr${event.data.cr} ${hex(event.data.old_value)} -> ${hex(event.data.new_value)}`;
    case "msr": {
      const { msr, old_value, new_value } = event.data;
      return `msr ${MSRS.get(msr) ?? hex(msr)} ${hex(old_value)} -> ${hex(new_value)}`;
    }
    case "pf":
      return `exec ${hex(event.data.gva)} (physical ${hex(event.data.gpa)})`;
    default:
      return null;
  }
}
