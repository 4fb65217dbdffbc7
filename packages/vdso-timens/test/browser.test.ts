import { testBrowserBundle } from "@vm/presets/browser";

testBrowserBundle("vdsoImage", "@vm/asm");
