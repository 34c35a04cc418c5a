/** Warns the process. All warnings of the library are of one type, so that a program can tell them from others'. */
export function warn(code: `AUX_${string}`, message: string): void {
  process.emitWarning(message, { type: "AuxstreamWarning", code })
}
