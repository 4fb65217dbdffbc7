import { testBrowserBundle } from "@vm/presets/browser";

testBrowserBundle("BpfRuntime", "@noble/hashes/legacy.js", "@vm/wasm");
