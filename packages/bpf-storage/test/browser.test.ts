import { testBrowserBundle } from "@vm/presets/browser";

testBrowserBundle("BpfRuntime", "@vm/wasm");
