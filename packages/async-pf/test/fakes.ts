import {
  ApfArea,
  AsyncPfEnable,
  type FetchError,
  HYPERVISOR_CALLBACK_VECTOR,
  KvmFeature,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  type VcpuAsyncPf,
  type VcpuPorts,
  VmAsyncPf,
  type VmAsyncPfDesc,
} from "../src/index.js";

export const ALL_FEATURES = KvmFeature.AsyncPf | KvmFeature.AsyncPfInt | KvmFeature.AsyncPfVmexit;
export const ON = AsyncPfEnable.Enabled | AsyncPfEnable.DeliveryAsInt;
/** Memory of the fake guest ends here, bytes. */
export const MEMORY_END = 0x1_0000;
export const VECTOR = HYPERVISOR_CALLBACK_VECTOR;

/** Words that are 0 until they are written. */
export class FakeWords {
  readonly values = new Map<number, number>();
  writable = true;

  read(gpa: number): number | false {
    if (!Number.isSafeInteger(gpa) || gpa % 4 !== 0) throw new RangeError(`a word at ${gpa}`);
    return gpa < MEMORY_END ? (this.values.get(gpa) ?? 0) : false;
  }

  write(gpa: number, value: number): boolean {
    if (gpa >= MEMORY_END || !this.writable) return false;
    this.values.set(gpa, value);
    return true;
  }
}

export interface FakeVcpuDesc {
  readonly lapic?: boolean;
}

/** A vCPU in user mode, with paging and interrupts on, and what happened to it. */
export class FakeVcpu {
  cpl = 3;
  interruptsAllowed = true;
  exceptionPending = false;
  paging = true;
  guestMode = false;
  protectedState = false;
  lapicEnabled = true;
  /** Error code and CR2 of each #PF. */
  readonly faults: [errorCode: number, cr2: number][] = [];
  /** Vectors, as raised. */
  interrupts: number[] = [];
  readonly area: number;
  readonly ports: VcpuPorts;
  host!: VcpuAsyncPf;

  constructor(
    readonly id: number,
    readonly words: FakeWords,
    { lapic = true }: FakeVcpuDesc = {},
  ) {
    this.area = 0x1000 + 0x40 * (id % 64);
    this.ports = {
      processor: {
        cpl: () => this.cpl,
        interruptsAllowed: () => this.interruptsAllowed,
        exceptionPending: () => this.exceptionPending,
        paging: () => this.paging,
        guestMode: () => this.guestMode,
        protectedState: () => this.protectedState,
        injectPageFault: (...fault) => this.faults.push(fault),
      },
      lapic: lapic ? { enabled: () => this.lapicEnabled, raise: (vector) => this.interrupts.push(vector) } : null,
      words,
    };
  }

  get flags(): number | false {
    return this.words.read(this.area + ApfArea.Flags);
  }

  get token(): number | false {
    return this.words.read(this.area + ApfArea.Token);
  }

  set token(value: number) {
    this.words.write(this.area + ApfArea.Token, value);
  }

  /** Token of the last #PF. */
  get lastToken(): number | undefined {
    return this.faults.at(-1)?.[1];
  }

  writeInt(value: number): boolean {
    return this.host.writeMsr(MSR_KVM_ASYNC_PF_INT, value, 0);
  }

  writeEnable(bits: number, hi = 0): boolean {
    return this.host.writeMsr(MSR_KVM_ASYNC_PF_EN, this.area | bits, hi);
  }

  /** Only the MSR. */
  ack(): boolean {
    return this.host.writeMsr(MSR_KVM_ASYNC_PF_ACK, 1, 0);
  }

  /** What the guest's interrupt handler does; the token it found. */
  handle(): number | false {
    const { token } = this;
    this.interrupts = [];
    this.token = 0;
    this.ack();
    return token;
  }

  /** Switched on, with the wake-all of that handled. */
  enable(bits = 0): this {
    this.writeInt(VECTOR);
    this.writeEnable(ON | bits);
    this.handle();
    return this;
  }
}

/** A VM, its vCPUs, and what the backend was asked for and told. */
export class FakeVm {
  readonly words: FakeWords;
  readonly fetched: number[] = [];
  readonly reports: FetchError[] = [];
  readonly vm: VmAsyncPf;
  /** Called by each fetch. */
  onFetch: (gfn: number) => void = () => undefined;

  constructor({ words = new FakeWords(), ...desc }: Partial<VmAsyncPfDesc> & { readonly words?: FakeWords } = {}) {
    this.words = words;
    this.vm = new VmAsyncPf({
      features: ALL_FEATURES,
      residency: {
        fetch: (gfn) => {
          this.fetched.push(gfn);
          this.onFetch(gfn);
        },
        report: (error) => this.reports.push(error),
      },
      ...desc,
    });
  }

  add(id = 0, desc: FakeVcpuDesc = {}): FakeVcpu {
    const vcpu = new FakeVcpu(id, this.words, desc);
    vcpu.host = this.vm.addVcpu(id, vcpu.ports);
    return vcpu;
  }
}
