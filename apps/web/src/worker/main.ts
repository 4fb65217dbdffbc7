import type { Line, ToPage, ToWorker } from "../protocol.js";
import { serve } from "./serve.js";

serve(self as unknown as Line<ToPage, ToWorker>);
