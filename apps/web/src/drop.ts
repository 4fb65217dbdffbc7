import { type FileKind, fileKind, KIND_BYTES } from "./file-kind.js";

/** Takes files that are dropped anywhere on the page, with `sign` shown while they are over it. */
export function takeDrops(sign: HTMLElement, take: (files: readonly (readonly [FileKind, File])[]) => void): void {
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") === true;
  const over = (event: DragEvent): void => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    sign.hidden = false;
  };
  addEventListener("dragenter", over);
  addEventListener("dragover", over);
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (relatedTarget === null) sign.hidden = true;
  });
  addEventListener("drop", (event) => {
    sign.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    void Promise.all([...(event.dataTransfer?.files ?? [])].map(withKind)).then(take);
  });
}

async function withKind(file: File): Promise<readonly [FileKind, File]> {
  const head = await file.slice(0, KIND_BYTES).arrayBuffer();
  return [fileKind(new Uint8Array(head)), file];
}
