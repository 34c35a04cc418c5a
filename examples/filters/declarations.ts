/** What filters.cu declares, for the module and for the host kernels. */

/** `struct Line` of filters.h. */
export const line = { struct: { n: "int32", first: "float32", step: "float32" } } as const
/** The global arrays of filters.cu. */
export const globals = { taps: ["float32", 4, "constant"], clipped: ["int32", 1] } as const
