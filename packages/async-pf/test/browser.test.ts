import { testBrowserBundle } from "@vm/presets/browser";

testBrowserBundle("VmAsyncPf");
