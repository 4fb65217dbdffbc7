import {
  Errno,
  GuestOsError,
  GuestReader,
  type KvmiClient,
  KvmiError,
  type KvmiEvent,
  type LinuxKernel,
} from "@vm/kvmi";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { say } from "../report.js";
import { SyscallTrace } from "./syscalls.js";
import { linux, type ToolFlags, whilePaused, withMachine } from "./tool.js";

export interface TraceFlags extends ToolFlags {
  readonly cr3?: true;
  /** true: those of {@link MSRS}. */
  readonly msr?: true | string;
  readonly syscalls?: true;
  readonly exec?: string;
  readonly count?: string;
}

/** MSRs that are watched unless told otherwise, by the names of the SDM. */
const MSRS: ReadonlyMap<number, string> = new Map([
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
const MSR_RANGE = 0x2000;
const HIGH_MSRS = 0xc0000000;
const READ_WRITE = 3;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** `vm kvmi trace`: prints events of a running guest, one a line. @throws {UsageError} */
export function trace(flags: TraceFlags): Promise<number> {
  if (!flags.cr3 && flags.msr === undefined && !flags.syscalls && flags.exec === undefined)
    throw new UsageError("nothing to trace: --cr3, --msr, --syscalls or --exec PAGE");
  const most = flags.count === undefined ? Number.POSITIVE_INFINITY : Number(flags.count);
  if (most !== Number.POSITIVE_INFINITY && !(Number.isInteger(most) && most >= 1))
    throw new UsageError(`--count "${flags.count}" is no number of events`);
  const msrs = typeof flags.msr === "string" ? flags.msr.split(",").map(parseMsr) : [...MSRS.keys()];
  const page = flags.exec === undefined || isSymbol(flags.exec) ? flags.exec : parseNumber(flags.exec);
  return withMachine(flags, async (client, stop) => {
    const tracer = new Tracer(client, most);
    const kernel = flags.syscalls || typeof page === "string" ? await linux(client) : null;
    await whilePaused(client, async () => {
      if (flags.syscalls && kernel !== null) tracer.syscalls = await SyscallTrace.start(client, kernel);
      for (let vcpu = 0; vcpu < (await client.vcpuCount()); vcpu++) {
        if (flags.cr3) await watch(client, vcpu, "cr", () => client.controlCr(vcpu, 3, true));
        if (flags.msr !== undefined)
          await watch(client, vcpu, "msr", async () => {
            for (const msr of msrs) await client.controlMsr(vcpu, msr, true);
          });
        if (page !== undefined) await watch(client, vcpu, "pf", async () => undefined);
      }
      const gpa = typeof page === "string" && kernel !== null ? await addressOf(client, page, kernel) : page;
      if (typeof gpa === "number") await client.setPageAccess(new Map([[gpa, READ_WRITE]]));
    });
    if (!(await tracer.run()) && !stop.aborted) say("the machine has ended");
    return ExitCode.Ok;
  });
}

/** A vCPU that has not been started cannot be watched, and does nothing either. */
async function watch(
  client: KvmiClient,
  vcpu: number,
  event: "cr" | "msr" | "pf",
  then: () => Promise<void>,
): Promise<void> {
  try {
    await client.controlEvent(vcpu, event, true);
    await then();
  } catch (error) {
    if (!(error instanceof KvmiError) || error.errno !== Errno.EAGAIN) throw error;
  }
}

/** Prints events and answers them. */
class Tracer {
  syscalls: SyscallTrace | null = null;
  readonly #client: KvmiClient;
  readonly #most: number;
  #printed = 0;

  constructor(client: KvmiClient, most: number) {
    this.#client = client;
    this.#most = most;
  }

  /** False: the machine went before there were enough. */
  async run(): Promise<boolean> {
    for await (const event of this.#client.events) {
      const line = (await this.syscalls?.describe(event)) ?? this.#describe(event);
      if (line !== "") {
        process.stdout.write(`vcpu${event.vcpu} ${line}\n`);
        this.#printed++;
      }
      event.reply();
      if (this.#printed >= this.#most) return true;
    }
    return false;
  }

  #describe(event: KvmiEvent): string {
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
        return "";
    }
  }
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0) throw new UsageError(`"${text}" is no number`);
  return value;
}

/** Those that a write to can be seen: the two ranges of the MSR bitmaps (SDM vol. 3, 25.6.9). */
function parseMsr(text: string): number {
  const msr = parseNumber(text);
  if (msr < MSR_RANGE || (msr >= HIGH_MSRS && msr < HIGH_MSRS + MSR_RANGE)) return msr;
  throw new UsageError(`--msr ${text}: only 0 to 0x1fff and 0xc0000000 to 0xc0001fff can be watched`);
}

const isSymbol = (page: string): boolean => !/^(0x[0-9a-f]+|\d+)$/i.test(page);

/** Guest-physical address of a symbol of the kernel. */
async function addressOf(client: KvmiClient, symbol: string, kernel: LinuxKernel): Promise<number> {
  const gpa = await new GuestReader(client).translate(kernel.symbol(symbol));
  if (gpa === null) throw new GuestOsError("unmapped", `${symbol} is not mapped`);
  return Number(gpa);
}
