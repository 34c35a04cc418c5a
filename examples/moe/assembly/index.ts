// The example's kernels for the host device. Each runs a whole launch; arrays come as byte offsets into the device's
// memory, which is shared with everybody: nothing here has memory of its own.

export { fill_weights } from "./weights"
export { embed, rms_norm, swiglu, shared_gate, combine } from "./elementwise"
export { route, gather_rows } from "./routing"
export { expert_product } from "./experts"
