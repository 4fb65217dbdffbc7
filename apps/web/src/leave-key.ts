/** What is looked at of a `KeyboardEvent`. */
export type Key = Pick<KeyboardEvent, "type" | "key" | "ctrlKey" | "altKey">;

/**
 * Ctrl and Alt together, and nothing else, lead out of the terminal and back, as they leave the window of QEMU or VMware: every other key is the guest's,
 * Tab included. Returns a function that looks at every key event and tells whether this one, a release, completes it.
 */
export function leaveKey(): (event: Key) => boolean {
  let armed = false;
  return ({ type, key, ctrlKey, altKey }) => {
    const modifier = key === "Control" || key === "Alt";
    if (type === "keydown") {
      armed = modifier && ctrlKey && altKey;
      return false;
    }
    if (type !== "keyup" || !armed || !modifier) return false;
    armed = false;
    return true;
  };
}
