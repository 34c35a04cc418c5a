import { cudaBackend } from "./cuda/backend.js"
import { hostBackend } from "./host/backend.js"
import { registerBackend } from "./runtime/registry.js"

// The order is that in which openDevice("auto") prefers them.
registerBackend(cudaBackend)
registerBackend(hostBackend)
