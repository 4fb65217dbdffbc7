/** What the form says, files aside: they cannot be remembered. */
export interface Settings {
  /** `builtin`, `own`, or the id of a guest that the server has. */
  readonly guest: string;
  /** MiB. */
  readonly memory: number;
  readonly cpus: number;
  /** Words for the kernel command line. */
  readonly words: string;
  readonly disk: "none" | "kept" | "image";
  /** MiB of a new disk of the page. */
  readonly size: number;
  /** Whether a screen reader is told what the terminal shows. */
  readonly reader: boolean;
}

export const DEFAULTS: Settings = {
  guest: "builtin",
  memory: 512,
  cpus: 1,
  words: "",
  disk: "none",
  size: 256,
  reader: false,
};

/** Ranges of the numbers, as in the form. */
const RANGES = { memory: [16, 3072], cpus: [1, 32], size: [1, 65536] } as const;
const MOST_WORDS = 1500;

/** Settings out of anything: a field that is none is the default. */
export function toSettings(found: unknown): Settings {
  const fields = (typeof found === "object" && found !== null ? found : {}) as Record<string, unknown>;
  const whole = (name: keyof typeof RANGES): number => {
    const value = Number(fields[name]);
    const [least, most] = RANGES[name];
    return Number.isInteger(value) && value >= least && value <= most ? value : DEFAULTS[name];
  };
  const text = (name: "guest" | "words"): string => {
    const value = fields[name];
    return typeof value === "string" && value.length <= MOST_WORDS ? value : DEFAULTS[name];
  };
  const { disk, reader } = fields;
  return {
    guest: text("guest"),
    memory: whole("memory"),
    cpus: whole("cpus"),
    words: text("words"),
    disk: disk === "kept" || disk === "image" ? disk : DEFAULTS.disk,
    size: whole("size"),
    reader: reader === true,
  };
}

const KEY = "vm settings";

/** What was chosen the last time; the defaults if nothing was, or the browser keeps nothing. */
export function recall(): Settings {
  try {
    return toSettings(JSON.parse(localStorage.getItem(KEY) ?? "null"));
  } catch {
    // Damaged, or the browser keeps nothing for this page.
    return DEFAULTS;
  }
}

export function remember(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // The browser keeps nothing for this page: it starts with the defaults the next time.
  }
}
