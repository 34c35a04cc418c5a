/** Emits a process warning. All warnings of the library have the same type, so that a program can recognise them. */
export function warn(code: `AUX_${string}`, message: string): void {
  process.emitWarning(message, { type: "AuxstreamWarning", code })
}

const warned = new Set<string>()

/** Like {@link warn}, but once for each key. */
export function warnOnce(key: string, message: string, code: `AUX_${string}`): void {
  if (warned.has(key)) return
  warned.add(key)
  warn(code, message)
}
