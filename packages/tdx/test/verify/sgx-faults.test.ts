import { eachFault } from "./faults.js";
import { SGX_ALTERATIONS } from "./sgx-alterations.js";

eachFault("the SGX extension", SGX_ALTERATIONS);
