import type { KvmiClient, KvmiEvent } from "@vm/kvmi";

/** Something that has happened in the guest. */
export interface Line {
  /** The guest's time in seconds, by its TSC; null if its rate is not known. */
  readonly time: number | null;
  readonly vcpu: number;
  /** For a person to read, escaped. */
  readonly text: string;
}

/** What knows some of the events. */
export interface Source {
  /** What an event brings to an end, in the order it began; nothing if it is of no concern. */
  take(event: KvmiEvent): Promise<readonly Line[]>;
  /** What has begun and not ended. */
  rest(): readonly Line[];
}

export const shown = ({ time, vcpu, text }: Line): string =>
  `${time === null ? "" : `${time.toFixed(6)} `}vcpu${vcpu} ${text}\n`;

const MSR_TSC = 0x10;

/** The guest's time. */
export class GuestClock {
  readonly #client: KvmiClient;
  readonly #hz: number;

  private constructor(client: KvmiClient, hz: number) {
    this.#client = client;
    this.#hz = hz;
  }

  static async of(client: KvmiClient): Promise<GuestClock> {
    return new GuestClock(client, Number((await client.ask("vcpuGetInfo", {})).tsc_speed));
  }

  /** In seconds; null if the rate of the TSC is not known. */
  async now(vcpu: number): Promise<number | null> {
    if (this.#hz === 0) return null;
    const { msrs } = await this.#client.registers(vcpu, [MSR_TSC]);
    return Number(msrs.get(MSR_TSC) ?? 0n) / this.#hz;
  }
}
