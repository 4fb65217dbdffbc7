import { describeKept, KEPT_DISK } from "./disk-names.js";
import { byId } from "./dom.js";
import { size } from "./figures.js";
import { forgetDisk, type KeptDisk, keptDisks, keptFile } from "./kept-disks.js";

/** How long the browser has to begin a download, ms. */
const DOWNLOAD_MS = 60_000;

/** The list of what the browser keeps, each with a way out of it: as a download, or for good. */
export class KeptList {
  readonly #box = byId("kept", HTMLDivElement);
  readonly #fail: (error: unknown) => void;
  #busy = false;
  #looks = 0;

  /** @param fail hears why something could not be done */
  constructor(fail: (error: unknown) => void) {
    this.#fail = fail;
    this.refresh();
  }

  /** Whether a machine has a disk: nothing can be taken or forgotten meanwhile. */
  set busy(busy: boolean) {
    this.#busy = busy;
    this.refresh();
  }

  /** Shows what is there now. */
  refresh(): void {
    const look = ++this.#looks;
    void keptDisks().then((disks) => {
      if (look !== this.#looks) return;
      this.#box.hidden = disks.length === 0;
      this.#box.querySelector("ul")?.replaceChildren(...disks.map((disk) => this.#row(disk)));
    }, this.#fail);
  }

  #row(disk: KeptDisk): HTMLLIElement {
    const what = describeKept(disk.name);
    const row = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = `${what}, ${size(disk.size)}`;
    row.append(
      text,
      this.#button("Download", `Download ${what}`, () => download(disk.name)),
      this.#button("Forget", `Forget ${what}`, async () => {
        if (confirm(`Delete ${what} from this browser? This cannot be undone.`)) await forgetDisk(disk.name);
      }),
    );
    return row;
  }

  #button(text: string, label: string, act: () => Promise<void>): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.ariaLabel = label;
    button.disabled = this.#busy;
    button.title = this.#busy ? "Stop the machine first" : "";
    button.addEventListener("click", () => void act().then(() => this.refresh(), this.#fail));
    return button;
  }
}

async function download(name: string): Promise<void> {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await keptFile(name));
  link.download = name === KEPT_DISK ? name : decodeURIComponent(name.replace(/,\d+,\d+\.qcow2$/, ".qcow2"));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), DOWNLOAD_MS);
}
