export { default } from "@vm/presets/tsup";
