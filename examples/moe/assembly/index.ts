// The example's kernels for the host device. Each runs a whole launch; arrays come as byte offsets into the device's
// memory, which is shared with everybody: nothing here has memory of its own.

export { fill_weights } from "./weights"
export { embed, rms_norm, swiglu, combine } from "./elementwise"
export { route } from "./routing"
export { expert_up, expert_down } from "./experts"
