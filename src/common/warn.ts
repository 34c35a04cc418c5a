/** Warns the process. All warnings of the library are of one type, so that a program can tell them from others'. */
export function warn(code: `AUX_${string}`, message: string): void {
  process.emitWarning(message, { type: "AuxstreamWarning", code })
}

const warned = new Set<string>()

/** The same, once for each key. */
export function warnOnce(key: string, message: string, code: `AUX_${string}`): void {
  if (warned.has(key)) return
  warned.add(key)
  warn(code, message)
}
