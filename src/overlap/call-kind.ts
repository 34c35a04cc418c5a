/** Eager calls and captured graphs are measured apart. */
export type CallKind = "eager" | "captured"
