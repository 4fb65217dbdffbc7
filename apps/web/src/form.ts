import { byId } from "./dom.js";
import type { FileKind } from "./file-kind.js";
import type { DiskSource, GuestSource, Start } from "./protocol.js";
import type { ServedGuest } from "./served-guests.js";
import { DEFAULTS, type Settings, toSettings } from "./settings.js";

/** What a machine is started with, but for the terminal's size. */
export type Choice = Omit<Start, "kind" | "dimensions">;

/** The form with the settings. */
export class Form {
  readonly element = byId("settings", HTMLFormElement);
  readonly #guest = byId("guest", HTMLSelectElement);
  readonly #disk = byId("disk", HTMLSelectElement);
  readonly #files: Readonly<Record<FileKind, HTMLInputElement>> = {
    kernel: byId("kernel", HTMLInputElement),
    initrd: byId("initrd", HTMLInputElement),
    image: byId("image", HTMLInputElement),
  };
  readonly #served: readonly ServedGuest[];

  constructor(served: readonly ServedGuest[], onChange: () => void) {
    this.#served = served;
    const own = this.#guest.querySelector("option[value=own]");
    for (const { id, name } of served) this.#guest.insertBefore(new Option(name, id), own);
    byId("no-guests", HTMLParagraphElement).hidden = served.length > 0;
    this.element.addEventListener("submit", (event) => event.preventDefault());
    this.element.addEventListener("input", () => {
      this.#showWhatApplies();
      onChange();
    });
  }

  get settings(): Settings {
    const { elements } = this.element;
    const values = Object.keys(DEFAULTS).map((name) => {
      const field = elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === "checkbox") return [name, field.checked];
      return [name, field instanceof HTMLInputElement || field instanceof HTMLSelectElement ? field.value : undefined];
    });
    return toSettings(Object.fromEntries(values));
  }

  /** Fills the form in. What needs a file that nobody has chosen yet is left at its default. */
  set settings(settings: Settings) {
    const { elements } = this.element;
    for (const [name, value] of Object.entries(settings)) {
      const field = elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = value === true;
      else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.value = String(value);
    }
    if (this.#guest.selectedIndex < 0 || settings.guest === "own") this.#guest.value = "builtin";
    if (settings.disk === "image") this.#disk.value = "none";
    this.#showWhatApplies();
  }

  /** Takes a dropped file as what it is. */
  take(kind: FileKind, file: File): void {
    const list = new DataTransfer();
    list.items.add(file);
    this.#files[kind].files = list.files;
    if (kind === "image") this.#disk.value = "image";
    else this.#guest.value = "own";
    this.element.dispatchEvent(new Event("input"));
  }

  /** Something that tells whether the choice is still the one it was. */
  get mark(): string {
    const files = Object.values(this.#files).map((input) => {
      const file = input.files?.[0];
      return file === undefined ? null : [file.name, file.size, file.lastModified];
    });
    const { reader: _, ...settings } = this.settings;
    return JSON.stringify([settings, files]);
  }

  /** What the form asks for. @throws {Error} with a sentence that says what is missing; the field has the focus then */
  choice(): Choice {
    const invalid = this.element.querySelector<HTMLInputElement>("input:invalid");
    if (invalid !== null) {
      const { labels, validationMessage } = invalid;
      this.#point(invalid);
      throw new Error(`${labels?.[0]?.textContent?.trim()}: ${validationMessage}`);
    }
    const { guest, disk, memory, cpus, words, size } = this.settings;
    return {
      guest: this.#guestSource(guest),
      disk: this.#diskSource(disk, size),
      memory: memory * 2 ** 20,
      cpus,
      words,
    };
  }

  #guestSource(guest: string): GuestSource {
    if (guest === "own") {
      const kernel = this.#needed("kernel", "Choose a kernel, or drop one on the page.");
      return { kind: "files", kernel, initrd: this.#files.initrd.files?.[0] ?? null };
    }
    const served = this.#served.find(({ id }) => id === guest);
    return served === undefined
      ? { kind: "builtin" }
      : { kind: "served", kernel: served.kernel, initrd: served.initrd };
  }

  #diskSource(disk: Settings["disk"], size: number): DiskSource {
    if (disk === "none") return { kind: "none" };
    if (disk === "kept") return { kind: "kept", bytes: size * 2 ** 20 };
    return { kind: "image", file: this.#needed("image", "Choose a disk image, or drop one on the page.") };
  }

  #needed(kind: FileKind, sentence: string): File {
    const file = this.#files[kind].files?.[0];
    if (file !== undefined) return file;
    this.#point(this.#files[kind]);
    throw new Error(sentence);
  }

  /** Leads to a field that needs attention. */
  #point(field: HTMLElement): void {
    this.element.hidden = false;
    this.element.dispatchEvent(new Event("shown"));
    field.focus();
  }

  #showWhatApplies(): void {
    const { elements } = this.element;
    for (const part of this.element.querySelectorAll<HTMLElement>("[data-shown-for]")) {
      const [name = "", value] = part.dataset.shownFor?.split("=") ?? [];
      const field = elements.namedItem(name);
      part.hidden = !(field instanceof HTMLSelectElement) || field.value !== value;
      // What is hidden is not checked.
      for (const input of part.querySelectorAll("input")) input.disabled = part.hidden;
    }
  }
}
